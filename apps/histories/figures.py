"""Stories with their drawings, for whichever page shows them. Pure: nothing is read from a table."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from apps.axis import nice
from apps.histories.cycle import Circle, circle
from apps.histories.drawing import Timeline, tick, timeline, times

LEVELS = {
    "read-uncommitted": "read uncommitted", "read-committed": "read committed",
    "snapshot-isolation": "snapshot isolation", "repeatable-read": "repeatable read",
    "serializable": "serializable", "strict-serializable": "strict serializable",
}  # fmt: skip


@dataclass(frozen=True)
class Told:
    """A story as a page shows it; `ident` is its place among those of the page.

    `meanwhile` are sentences on what else happened between its first call and its last answer.
    """

    ident: str
    story: dict[str, Any]
    timeline: Timeline
    circle: Circle | None
    rows: list[dict[str, Any]]
    still_holds: list[str]
    rules_out: list[str]
    meanwhile: list[str]
    again: bool = False  # one of the same kind stands before it


def told(
    stories: list[dict[str, Any]],
    windows: Sequence[dict[str, Any]] = (),
    whole: float | None = None,
    changes: Sequence[dict[str, Any]] = (),
) -> list[Told]:
    """`windows`: label, start, end in seconds on the same axis as the stories; `changes` of the leader as
    `engine.leadership.leader_changes` has them."""
    used: set[int] = set()
    leaders = [c for c in changes if c["to"] is not None]
    found = [
        _told(f"story-{i}", story, list(windows), whole, leaders, used) for i, story in enumerate(stories, 1)
    ]
    kinds = [one.story["kind"] for one in found]
    return [replace(one, again=kinds[i] in kinds[:i]) for i, one in enumerate(found)]


def _told(
    ident: str,
    story: dict[str, Any],
    windows: list[dict[str, Any]],
    whole: float | None,
    leaders: list[dict[str, Any]],
    used: set[int],
) -> Told:
    anchors = {}
    for op in story["operations"]:
        anchors[op["index"]] = f"{ident}-op-{op['index']}" if op["index"] in used else f"op-{op['index']}"
        used.add(op["index"])
    rows = [_row(op, story, anchors) for op in story["operations"]]
    broken = story.get("rules_out") or []
    holds = [LEVELS[level] for level in LEVELS if level not in broken] if broken else []
    near = [w for w in windows if whole is None or w["start"] <= max(whole, story["end"])]
    moments = [{"label": f"{c['to']} leads", "at": c["elected_at"]} for c in leaders]
    drawn = timeline(story, near, whole, anchors, moments)
    return Told(
        ident,
        story,
        drawn,
        circle(story, anchors),
        rows,
        holds,
        [LEVELS.get(level, level) for level in broken],
        _meanwhile(story, near, leaders),
    )


def _meanwhile(
    story: dict[str, Any], windows: list[dict[str, Any]], leaders: list[dict[str, Any]]
) -> list[str]:
    start, end = story["start"], story["end"]
    step = nice(max(end - start, 1e-6) / 50)
    found = [
        (one["start"], f"It was hurt ({one['label']}) {_lasted(one, step)}.")
        for one in windows
        if one["start"] <= end and (one["end"] is None or one["end"] >= start)
    ]
    found += [
        (one["elected_at"], f"{one['to']} took over from {one['from']} at {tick(one['elected_at'], step)}.")
        for one in leaders
        if start <= one["elected_at"] <= end
    ]
    return [sentence for _, sentence in sorted(found)]


def _lasted(window: dict[str, Any], step: float) -> str:
    begun = f"from {tick(window['start'], step)}"
    return f"{begun} on" if window["end"] is None else f"{begun} to {tick(window['end'], step)}"


def _row(op: dict[str, Any], story: dict[str, Any], anchors: dict[int, str]) -> dict[str, Any]:
    words = {"ok": "answered", "fail": "refused", "info": "no answer"}
    return op | {
        "anchor": anchors[op["index"]], "when": times(op), "became": words[op["type"]],
        "culprit": op["index"] in story["culprits"],
    }  # fmt: skip


def fault_windows(faults: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of the faults in a run's result."""
    return [
        {"label": fault["line"], "start": fault["injected_at"], "end": fault.get("healed_at")}
        for fault in faults if fault.get("injected_at") is not None
    ]  # fmt: skip


def nemesis_windows(windows: list[dict[str, Any]], zero: int) -> list[dict[str, Any]]:
    """Of what a history's nemesis told, in its own ns."""
    return [
        {
            "label": one["name"] or one["told"], "start": (one["start"] - zero) / 1e9,
            "end": None if one["end"] is None else (one["end"] - zero) / 1e9,
        }
        for one in windows
    ]  # fmt: skip
