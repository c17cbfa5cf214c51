"""The rows of a run of 10,000,000 operations, and of ten services, in the board of CHAOSBOARD_STATE."""

from typing import Any

import django

# an hour, in intervals as wide as the engine makes them: `engine.follow.width_for`
INTERVALS, WIDTH = 1_800, 2.0
TOLD = ("id", "line", "nodes", "text")  # of a fault, by its events
EVERY = 450  # intervals in which one look takes half a second
SLOW = INTERVALS // EVERY
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
        verdict="held", ending="finished", headline="It held.", result=_result(),
    )  # fmt: skip
    _events(run)


def _result() -> dict[str, Any]:
    """As the judge leaves it after a rough hour: hurt each minute, out for a second each time."""
    hurts = range(60, int(INTERVALS * WIDTH), 60)
    outages = [{"start": t + 0.1, "end": t + 1.1, "duration": 1.0, "uncertainty": 0.1} for t in hurts]
    views = [
        {"at": float(t), "node": f"n{i}", "sees": f"n{t // 60 % 3}", "reachable": True, "term": t}
        for t in hurts for i in range(3)
    ]  # fmt: skip
    recovery = {
        "probe": "tcp", "broken": True, "time_to_detect": 0.1, "time_to_recover_from_injected": 1.1,
        "time_to_recover_from_healed": 0.1, "availability": 0.98, "outages": outages, "worst_outage": 1.0,
        "uncertainty": 0.1,
    }  # fmt: skip
    return {
        "verdict": "held", "headline": "It held.", "ending": "finished", "duration": INTERVALS * WIDTH,
        "recovery": recovery, "faults": [_fault(float(t)) for t in hurts], "leadership": views,
        "operations": {
            "attempted": INTERVALS * EACH, "acknowledged": INTERVALS * EACH, "failed": 0, "unknown": 0,
            "read_back": INTERVALS * EACH, "lost": 0,
        },
        "clean": True, "clean_text": "read back as gone",
    }  # fmt: skip


def _events(run: object) -> None:
    from apps.runs.models import Event

    plan = {"duration": INTERVALS * WIDTH, "phases": [], "steps": []}
    begun = {"name": "an hour under load", "target": "service 0", "kind": "tcp", "width": WIDTH, "started_at": None,
             "nodes": ["n0", "n1", "n2"], "workload": {"name": "set", "line": "set"}, "plan": plan,
             "probes": [{"name": "tcp", "kind": "tcp", "every": 0.1, "tolerance": {"availability": ">= 99%"}}]}  # fmt: skip
    told = [(0.0, "run", begun),
            (0.0, "phase", {"phase": "fault", "text": "", "started_at": None, "epoch": 0, "ns": 0})]  # fmt: skip
    for i in range(INTERVALS):
        told.append((i * WIDTH, "interval", _interval(i)))
        if (i * WIDTH) % 60 == 0 and i:
            fault = {key: value for key, value in _fault(i * WIDTH).items() if key in TOLD}
            told += [
                (i * WIDTH, "fault", {**fault, "state": state}) for state in ("injecting", "active", "clean")
            ]
    told.append(
        (plan["duration"], "verdict", {"verdict": "held", "headline": "It held.", "ending": "finished"})
    )
    Event.objects.bulk_create(
        (Event(run=run, n=n, at=at, kind=kind, data=data) for n, (at, kind, data) in enumerate(told, 1)),
        batch_size=2000,
    )


def _fault(at: float) -> dict[str, Any]:
    return {
        "id": f"f1.{at:.0f}", "name": "kill", "line": "kill n0", "nodes": ["n0"], "state": "clean", "text": "n0 runs",
        "injected_at": at, "healed_at": at + 1.0, "traffic": [],
    }  # fmt: skip


def _interval(i: int) -> dict[str, Any]:
    slow = 0.5 if i % EVERY == EVERY // 2 else 0.002 + (i % 17) / 10_000
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
