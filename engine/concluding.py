"""The end of a run: its events judged, also where its process has died."""

import traceback
from pathlib import Path
from typing import Any

from engine import state as files
from engine import undo
from engine.events import Emit, Log, read
from engine.judge import judge


def conclude(
    directory: Path, state: Path, run_id: str, *, ending: str, reason: str, emit: Emit, after: int
) -> dict[str, Any]:
    """Ends a run whose process has died: heals what is left of it, and judges what was recorded.

    `after` is the number of the last event that `emit` is known to have had.
    """
    undo.heal_all(state, run=run_id)
    past = read(directory / "events.jsonl")
    if missing := [event for event in past if event.n > after]:
        emit(missing)
    last = max([after, *(event.n for event in past)])
    at = max([0.0, *(event.at for event in past)])
    log = Log(directory / "events.jsonl", emit, after=last)
    latest = {e.data["id"]: e for e in past if e.kind == "fault"}
    for event in latest.values():
        if event.data["state"] not in ("clean", "planned"):
            found = [r for id in event.data["records"] if (r := undo.record_of(state, id))]
            at = max(at, _healed_at(found, past, at))
            log.add("fault", at, **{**event.data, **_final(found)})
    log.add("note", at, level="error", text=reason)
    return judged(log, directory, at, ending, reason)


def _final(found: list[undo.UndoRecord]) -> dict[str, Any]:
    states = {r.state for r in found}
    state = "clean" if states == {"clean"} else "stuck" if "stuck" in states else "unverified"
    return {"state": state, "expires_at": None, "text": "; ".join(r.text for r in found)}


def _healed_at(found: list[undo.UndoRecord], past: list[Any], at: float) -> float:
    """When it was healed, on the run's clock: the record tells the wall's."""
    started = next((e.data["epoch"] for e in past if e.kind == "phase" and "epoch" in e.data), None)
    healed = [r.healed_at for r in found if r.healed_at]
    return max(healed) - started if started and healed else at


def judged(log: Log, directory: Path, at: float, ending: str, reason: str) -> dict[str, Any]:
    """The result; a judge that fails says so, and is UNKNOWN."""
    log.flush()
    try:
        result = judge(directory, ending=ending, reason=reason)
    except Exception:  # a crashed judge is a verdict of its own, see the safety contract, 10
        trace = traceback.format_exc()
        (directory / "judge-error.txt").write_text(trace)
        last = trace.strip().splitlines()[-1]
        result = {
            "verdict": "unknown", "headline": f"The run was not judged: {last}", "ending": "failed",
            "ending_reason": last,
        }  # fmt: skip
    files.write(directory / "result.json", result)
    told = {key: result[key] for key in ("verdict", "headline", "ending")}
    log.add("verdict", at, **told)
    log.add("phase", at, phase="done", text="")
    log.close()
    return result
