"""What a run left behind in its directory, as it is judged and as it is drawn."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from engine import samples
from engine.events import Event, read
from engine.experiment import Experiment
from engine.history import History, in_run
from engine.history import read as read_history
from engine.recovery import in_time
from engine.series import Readings, of_node, of_operations, readings
from engine.state import read as read_json
from engine.target import Target
from engine.traffic import OPERATIONS

Window = tuple[int, int | None]  # injected, healed: monotonic ns


@dataclass(frozen=True)
class Recorded:
    """All that a run left behind; times in monotonic ns, `zero` is the run's second 0."""

    directory: Path
    experiment: Experiment
    target: Target
    events: list[Event]

    @cached_property
    def zero(self) -> int | None:
        """None where the run ended before its baseline."""
        return next((int(e.data["ns"]) for e in self.events if e.kind == "phase" and "ns" in e.data), None)

    def at(self, ns: int) -> float:
        return round((ns - (self.zero or 0)) / 1e9, 6)

    def ns(self, at: float) -> int:
        return (self.zero or 0) + int(at * 1e9)

    @cached_property
    def phases(self) -> list[dict[str, Any]]:
        """Name, start and end in seconds of each phase that began."""
        told = [e for e in self.events if e.kind != "verdict" and e.data.get("phase") != "done"]
        begun = [(e.data["phase"], e.at) for e in told if e.kind == "phase"]
        ends = [at for _, at in begun[1:]] + [max(e.at for e in told)]
        return [{"name": n, "start": a, "end": b} for (n, a), b in zip(begun, ends, strict=True)]

    @cached_property
    def end(self) -> int:
        """When the last reading that counts was due: the beginning of the judging, if it came to that."""
        judging = [e.at for e in self.events if e.kind == "phase" and e.data["phase"] == "judging"]
        return self.ns(judging[0] if judging else max(e.at for e in self.events))

    @cached_property
    def faults(self) -> list[dict[str, Any]]:
        """Each step that was begun, with the times in seconds at which it was injected and healed."""
        found: dict[str, dict[str, Any]] = {}
        for event in (e for e in self.events if e.kind == "fault" and e.data["state"] != "planned"):
            data = event.data
            fault = found.setdefault(
                data["id"], {"id": data["id"], "injected_at": event.at, "healing_at": None, "healed_at": None}
            )
            fault.update(
                name=data["fault"],
                line=data["line"],
                nodes=data["nodes"],
                state=data["state"],
                text=data["text"],
            )
            if data["state"] in ("injecting", "active"):
                fault["injected_at"] = event.at
            if data["state"] == "healing":
                fault["healing_at"] = event.at
            if data["state"] == "clean":
                fault["healed_at"] = event.at
        return list(found.values())

    @cached_property
    def windows(self) -> list[Window]:
        return [
            (self.ns(f["injected_at"]), None if f["healed_at"] is None else self.ns(f["healed_at"]))
            for f in self.faults
        ]

    @cached_property
    def samples(self) -> samples.Samples:
        """Every look at a node from second 0 to the end."""
        raw = samples.load(self.directory / "samples.bin")
        start = self.end if self.zero is None else self.zero
        return raw[(raw["scheduled"] >= start) & (raw["scheduled"] < self.end)]

    @cached_property
    def history(self) -> History | None:
        """What the clients did; None where there were none."""
        path = in_run(self.directory)
        return read_history(path) if self.experiment.workload and path else None

    @cached_property
    def flows(self) -> dict[str, Readings]:
        """What was sent to each node, by its name, and the operations."""
        found = {n.name: of_node(self.samples, i) for i, n in enumerate(self.target.nodes)}
        return found if self.history is None else {**found, OPERATIONS: of_operations(self.history)}

    @cached_property
    def readings(self) -> dict[str, Readings]:
        """By the name of the probe: the readings of the service from second 0 to the end, as they came."""
        raw = self.samples
        states = self.experiment.steady_state
        return {s.name: readings(raw, i, s.probe.joins) for i, s in enumerate(states)}

    @cached_property
    def judged(self) -> dict[str, Readings]:
        """The same; those too slow for the tolerance are bad."""
        return {s.name: in_time(self.readings[s.name], s.tolerance) for s in self.experiment.steady_state}


def load(directory: Path) -> Recorded:
    return Recorded(
        directory,
        Experiment.from_dict(read_json(directory / "experiment.json")),
        Target.from_dict(read_json(directory / "target.json")),
        read(directory / "events.jsonl"),
    )
