"""A service of simulated nodes and an experiment on it, as rows."""

from typing import Any

from apps.experiments.models import Experiment, ExperimentVersion
from apps.runs.models import Run
from apps.targets.models import Environment, Node, Target
from engine.document import dump
from engine.events import Event


def target(name: str = "orders") -> Target:
    environment, _ = Environment.objects.get_or_create(name="default")
    made = Target.objects.create(name=name, kind="memory", environment=environment)
    for i in (1, 2, 3):
        Node.objects.create(
            target=made, name=f"{name}-n{i}", address=f"127.0.0.1:{i}", control="memory",
            control_params={"cluster": name},
        )  # fmt: skip
    return made


def document(target: str = "orders", **parts: Any) -> dict[str, Any]:
    return {
        "name": "one node pauses",
        "target": target,
        "steady_state": [
            {"probe": {"memory": {}}, "every": "100ms", "tolerance": {"availability": ">= 60%"}},
        ],
        "baseline": "1s",
        "faults": [{"at": "0s", "for": "1s", "pause": {"nodes": ["one"]}}],
        "recovery": {"timeout": "5s", "stable": "500ms"},
        "expect": {"recover_within": "5s"},
        **parts,
    }


def experiment(of: Target | None = None, **parts: Any) -> Experiment:
    of = of or target()
    data = document(of.name, **parts)
    made = Experiment.objects.create(name=data["name"], target=of)
    ExperimentVersion.objects.create(experiment=made, number=1, document=data, text=dump(data))
    return made


def run(of: Experiment | None = None, **row: Any) -> Run:
    of = of or experiment()
    made = Run.objects.create(
        version=of.current, target=of.target, target_document=of.target.to_engine().to_dict(), **row
    )
    return Run.objects.select_related("version__experiment", "target").get(pk=made.pk)


def notes(first: int, last: int) -> list[Event]:
    return [Event(n, n / 10, "note", {"level": "info", "text": f"{n}"}) for n in range(first, last + 1)]
