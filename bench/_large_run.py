"""The rows of a run of 10,000,000 operations, and of ten services, in the board of CHAOSBOARD_STATE."""

import django

INTERVALS, WIDTH = (
    1_800,
    2.0,
)  # an hour, in intervals as wide as the engine makes them: `engine.follow.width_for`
EACH = 5_560  # operations in an interval: 10,008,000 in all


def main() -> None:
    django.setup()
    from apps.experiments.models import Experiment, ExperimentVersion
    from apps.runs.models import Run
    from apps.targets.models import Environment, Node, Target

    environment, _ = Environment.objects.get_or_create(name="default")
    for i in range(10):
        target = Target.objects.create(name=f"service {i}", kind="tcp", environment=environment)
        Node.objects.bulk_create(
            Node(target=target, name=f"n{j}", address=f"127.0.0.1:{j + 1}", position=j) for j in range(3)
        )
    target = Target.objects.order_by("pk")[0]
    document = {
        "name": "an hour under load", "target": target.name, "baseline": "10m",
        "steady_state": [{"probe": {"tcp": {}}, "every": "100ms", "tolerance": {"availability": ">= 99%"}}],
    }  # fmt: skip
    experiment = Experiment.objects.create(name=document["name"], target=target)
    version = ExperimentVersion.objects.create(experiment=experiment, number=1, document=document, text="")
    run = Run.objects.create(
        version=version, target=target, target_document=target.to_engine().to_dict(), state="done", phase="done",
        verdict="held", ending="finished", headline="It held.", result={"verdict": "held", "headline": "It held."},
    )  # fmt: skip
    _events(run)


def _events(run: object) -> None:
    from apps.runs.models import Event

    told = [("run", {"name": "an hour under load", "target": "service 0", "kind": "tcp", "width": WIDTH,
                     "started_at": None, "nodes": ["n0", "n1", "n2"], "probes": ["tcp"], "workload": "set",
                     "plan": {"duration": INTERVALS * WIDTH, "phases": [], "steps": []}}),
            ("phase", {"phase": "baseline", "text": "", "started_at": None, "epoch": 0, "ns": 0})]  # fmt: skip
    told += [("interval", _interval(i)) for i in range(INTERVALS)]
    told += [("verdict", {"verdict": "held", "headline": "It held.", "ending": "finished"})]
    Event.objects.bulk_create(
        (
            Event(run=run, n=n, at=max(n - 2, 0) * WIDTH, kind=kind, data=data)
            for n, (kind, data) in enumerate(told, 1)
        ),
        batch_size=2000,
    )


def _interval(i: int) -> dict[str, object]:
    slow = 0.5 if i % 450 == 225 else 0.002 + (i % 17) / 10_000
    return {
        "t": round(i * WIDTH, 3), "width": WIDTH,
        "probes": {"tcp": {"good": 60, "total": 60, "p50": 0.001, "p99": slow, "max": slow}},
        "nodes": {name: {"good": 20, "total": 20} for name in ("n0", "n1", "n2")},
        "ops": {"ok": EACH, "fail": 0, "info": 0, "p50": 0.002, "p99": slow,
                "shares": dict.fromkeys(("n0", "n1", "n2"), EACH // 3)},
        "heat": [value for bucket in range(4, 13) for value in (bucket, EACH // 9)],
    }  # fmt: skip


if __name__ == "__main__":
    main()
