"""What was recorded -> verdict and figures. Reads a run's directory and nothing else, at any later time."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from engine import recovery, samples, text
from engine.consistency import checked
from engine.convergence import convergence, looks_of
from engine.events import Event, read
from engine.expectations import clean, expectations
from engine.experiment import Experiment, SteadyState
from engine.history import History, in_run
from engine.history import read as read_history
from engine.leadership import leader_changes, split_brain
from engine.lines import Lines
from engine.recovery import Outage, Recovered, availability, in_time, measures, outages
from engine.series import Readings, of_node, of_operations, readings
from engine.shares import answered_while_gone, shares
from engine.state import read as read_json
from engine.target import Target
from engine.traffic import OPERATIONS, traffic
from engine.verdict import Judgement, Verdict, worst
from engine.workloads import Workload

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


def judge(directory: Path, *, ending: str = "finished", reason: str = "") -> dict[str, Any]:
    """The result of a run, as `docs/events.md` describes it."""
    run = load(directory)
    recovered = {s.name: _recoveries(run, s) for s in run.experiment.steady_state}
    main = run.experiment.steady_state[0]
    figures = _recovery(run, main, _worst_recovery(recovered[main.name]))
    checks, operations = _checks(run)
    every = [r for found in recovered.values() for r in found]
    expected = expectations(run.experiment, every, run.readings, run.judged, operations, ending, checks)
    back = clean(run.faults)
    verdict = _verdict([*expected, back], checks, run.experiment, ending)
    return {
        "verdict": verdict.word,
        "headline": _headline(run, figures, operations, ending, reason),
        "ending": ending,
        "ending_reason": reason,
        "name": run.experiment.name,
        "target": run.target.name,
        "started_at": next(
            (e.data.get("started_at") for e in reversed(run.events) if "started_at" in e.data), None
        ),
        "duration": run.at(run.end),
        "phases": run.phases,
        "faults": [{**f, "traffic": traffic(f, run.flows, run.ns)} for f in run.faults],
        "recovery": figures,
        "phases_measured": _phases_measured(run, main),
        **_leadership(run),
        "convergence": _convergence(run),
        "load": _load(run),
        "versions": _versions(run),
        "operations": operations,
        "checks": [c.to_dict() for c in checks],
        "expectations": [j.to_dict() for j in [*expected, back]],
        "clean": back.verdict is Verdict.HELD,
        "clean_text": back.headline,
    }


def _verdict(
    expected: list[Judgement], checks: list[Judgement], experiment: Experiment, ending: str
) -> Verdict:
    """The worst wins. How many lost writes are too many is said by the expectation, if there is one."""
    told = experiment.expect.lost_writes is not None
    counting = [c for c in checks if c.counted]
    counted = [
        c for c in counting if not (told and c.findings and all(f["kind"] == "lost" for f in c.findings))
    ]
    verdict = worst(j.verdict for j in [*expected, *counted])
    if ending != "finished" and not any(c.verdict is Verdict.VIOLATED for c in counting):
        return Verdict.UNKNOWN
    return verdict


# Recovery


def _recoveries(run: Recorded, state: SteadyState) -> list[Recovered]:
    stable = int(run.experiment.recovery.stable * 1e9)
    mine = run.readings[state.name]
    return [recovery.recover(mine, state.tolerance, a, b, stable) for a, b in run.windows]


def _worst_recovery(found: list[Recovered]) -> Recovered | None:
    """The one that took longest; not to recover is longer than any time."""
    broken = [r for r in found if r.broken]
    longest = max(
        broken, key=lambda r: float("inf") if r.from_injected is None else r.from_injected, default=None
    )
    return longest or (found[0] if found else None)


def _recovery(run: Recorded, main: SteadyState, found: Recovered | None) -> dict[str, Any]:
    mine = run.judged[main.name]
    out = [_outage(run, o) for o in outages(mine)]
    longest = max((o["duration"] for o in out if o["duration"] is not None), default=None)
    unended = any(o["duration"] is None for o in out)
    return {
        "probe": main.name,
        "broken": bool(found and found.broken),
        "time_to_detect": _seconds(found.detect if found else None),
        "time_to_recover_from_injected": _seconds(found.from_injected if found else None),
        "time_to_recover_from_healed": _seconds(found.from_healed if found else None),
        "availability": availability(mine),
        "outages": out,
        "worst_outage": None if unended else longest,
        "uncertainty": _seconds(found.uncertainty) if found else main.every,
    }


def _outage(run: Recorded, outage: Outage) -> dict[str, Any]:
    end = None if outage.end_ns is None else run.at(outage.end_ns)
    start = run.at(outage.start_ns)
    return {
        "start": start,
        "end": end,
        "duration": None if end is None else round(end - start, 6),
        "uncertainty": outage.uncertainty_ns / 1e9,
    }


def _seconds(ns: int | None) -> float | None:
    return None if ns is None else round(ns / 1e9, 6)


def _phases_measured(run: Recorded, main: SteadyState) -> list[dict[str, Any]]:
    """Before the first fault, while any was there, and after the last was healed."""
    if run.zero is None:
        return []
    first = min((a for a, _ in run.windows), default=run.end)
    last = max((b or run.end for _, b in run.windows), default=run.end)
    found = []
    for name, start, end in (("before", run.zero, first), ("during", first, last), ("after", last, run.end)):
        part = _between(run.readings[main.name], start, end)
        share = availability(_between(run.judged[main.name], start, end))
        found.append({"phase": name, "samples": len(part.good), **measures(part), "availability": share})
    return found


def _between(readings: Readings, start: int, end: int) -> Readings:
    chosen = (readings.scheduled >= start) & (readings.scheduled < end)
    return Readings(readings.scheduled[chosen], readings.completed[chosen], readings.good[chosen])


# Who leads


def _leadership(run: Recorded) -> dict[str, Any]:
    changes = list(Lines(run.directory / "leaders.jsonl").read()) if run.zero is not None else []
    views = [
        {
            "at": run.at(c["time"]), "node": c["node"], "sees": c["sees"], "reachable": c["reachable"],
            "term": c.get("term"),
        }
        for c in changes
    ]  # fmt: skip
    return {
        "leadership": views,
        "leader_changes": leader_changes(views),
        "split_brain": split_brain(views),
    }


# What the clients saw


def _checks(run: Recorded) -> tuple[list[Judgement], dict[str, Any] | None]:
    if run.experiment.workload is None:
        return [], None
    name, _ = run.experiment.workload
    path = in_run(run.directory)
    if path is None:
        return [Judgement(name, Verdict.UNKNOWN, "the workload never began", "", "unknown")], None
    return checked(run.experiment, path, run.at, run.zero)


def _convergence(run: Recorded) -> dict[str, Any] | None:
    """When all nodes answered the same again after the last healing, where the history can tell."""
    healed = [b for _, b in run.windows]
    if run.history is None or not healed or None in healed:
        return None
    found = convergence(looks_of(run.history), max(b for b in healed if b is not None))
    if found is None:
        return None
    differed = [{**one, "until": one["until"] and run.at(int(one["until"]))} for one in found.differed]
    return {
        "healed_at": run.at(int(found.healed)),
        "at": None if found.at is None else run.at(int(found.at)),
        "took": None if found.took is None else found.took / 1e9,
        "nodes": found.nodes,
        "differed": differed,
    }


def _load(run: Recorded) -> dict[str, Any] | None:
    """Who answered the clients; None where the history does not tell."""
    closed = [(a, run.end if b is None else b) for a, b in run.windows]
    found = shares(run.history, (n.name for n in run.target.nodes), closed, run.end)
    return (
        {"nodes": found, "while_gone": answered_while_gone(run.history, run.faults, closed)}
        if found
        else None
    )


def _versions(run: Recorded) -> dict[str, Any] | None:
    told = (e.data["value"] for e in run.events if e.kind == "fact" and e.data["name"] == "versions")
    return next(told, None)


# The sentence


def _headline(
    run: Recorded, figures: dict[str, Any], operations: dict[str, Any] | None, ending: str, reason: str
) -> str:
    if ending != "finished":
        how = {"aborted": "Aborted", "halted": "Halted"}.get(ending, "It did not come to a verdict")
        return (
            f"{how}: {reason}"
            if run.zero is None
            else f"{how} after {text.seconds(run.at(run.end))}: {reason}"
        )
    name = run.target.name
    parts = [_broke(run, figures, name)]
    if operations:
        assert run.experiment.workload
        parts.append(_kept(operations, run.experiment.workload[1]))
    return f"{'; '.join(parts)}."


def _broke(run: Recorded, figures: dict[str, Any], name: str) -> str:
    hurt = text.listed(list(dict.fromkeys(f["line"] for f in run.faults))) if run.faults else ""
    after = f" after “{hurt}”" if hurt else ""
    if not figures["broken"]:
        return f"{name} stayed in tolerance{after}"
    back = figures["time_to_recover_from_injected"]
    if back is None:
        return f"{name} did not recover{after}"
    down = sum(o["duration"] or 0.0 for o in figures["outages"])
    return f"{name} was out of tolerance for {text.seconds(down)}{after}, and steady again {text.seconds(back)} after it"


def _kept(operations: dict[str, Any], workload: Workload) -> str:
    acknowledged, lost = operations["acknowledged"], operations["lost"]
    if lost is None and workload.tells_lost:
        return "what was written could not be read back"
    if lost is None:
        return f"{text.count(acknowledged, 'change')} acknowledged"
    if lost == 0:
        return f"none of {text.count(acknowledged, 'acknowledged write')} is gone"
    return f"{lost:,} of {text.count(acknowledged, 'acknowledged write')} {'is' if lost == 1 else 'are'} gone"


def to_json(result: dict[str, Any]) -> str:
    return json.dumps(result, indent=1, ensure_ascii=False)
