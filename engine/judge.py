"""What was recorded -> verdict and figures. Reads a run's directory and nothing else, at any later time."""

import json
from pathlib import Path
from typing import Any

from engine import recovery, text
from engine.consistency import checked
from engine.convergence import convergence, looks_of
from engine.evidence import Recorded, load
from engine.expectations import clean, expectations
from engine.experiment import Experiment, SteadyState
from engine.history import in_run
from engine.leadership import leader_changes, split_brain
from engine.lines import Lines
from engine.recovery import Outage, Recovered, availability, measures, outages
from engine.series import Readings
from engine.shares import answered_while_gone, shares
from engine.traffic import traffic
from engine.verdict import Judgement, Verdict, worst
from engine.workloads import Workload

SHOWN = ("linearizable", "isolation", "staleness")  # promises of which a check says what is wrong
TOLD = (*SHOWN, "lost writes", "clean")  # those that are told in other words than the promise's


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
        "headline": _headline(run, figures, operations, _unkept([*expected, back], checks), ending, reason),
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
    counted = [c for c in counting if not (told and _only_lost(c))]
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
    run: Recorded,
    figures: dict[str, Any],
    operations: dict[str, Any] | None,
    unkept: list[str],
    ending: str,
    reason: str,
) -> str:
    if ending != "finished":
        how = {"aborted": "Aborted", "halted": "Halted"}.get(ending, "It did not come to a verdict")
        after = "" if run.zero is None else f" after {text.seconds(run.at(run.end))}"
        by = reason[len(how) :] if reason.lower().startswith(f"{how} by ".lower()) else f": {reason}"
        return f"{how}{after}{by}"
    name = run.target.name
    parts = [_broke(run, figures, name)]
    if operations:
        assert run.experiment.workload
        parts.append(_kept(operations, run.experiment.workload[1]))
    return f"{'; '.join([*parts, *unkept])}."


def _unkept(expected: list[Judgement], checks: list[Judgement]) -> list[str]:
    """What else was found wrong, in words; the writes that are gone are told already."""
    wrong = [j for j in expected if j.verdict is Verdict.VIOLATED]
    found = [j.headline for j in wrong if j.name in SHOWN]
    found += [c.headline for c in checks if c.counted and c.verdict is Verdict.VIOLATED and not _only_lost(c)]
    found = found[:1]  # what other checks say of the same answers is in the report
    promised = [f"{j.name} {text.bound(j.expected)} ({j.measured})" for j in wrong if j.name not in TOLD]
    if promised:
        found.append(f"promised and not kept: {text.listed(promised)}")
    found += [f"left behind: {j.headline}" for j in wrong if j.name == "clean"]
    return list(dict.fromkeys(found))


def _only_lost(check: Judgement) -> bool:
    return bool(check.findings) and all(f["kind"] == "lost" for f in check.findings)


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
