"""Stories with their drawings, for whichever page shows them. Pure: nothing is read from a table."""

from dataclasses import dataclass
from typing import Any

from apps.histories.cycle import Circle, circle
from apps.histories.drawing import Timeline, timeline, times

LEVELS = {
    "read-uncommitted": "read uncommitted", "read-committed": "read committed",
    "snapshot-isolation": "snapshot isolation", "repeatable-read": "repeatable read",
    "serializable": "serializable", "strict-serializable": "strict serializable",
}  # fmt: skip


@dataclass(frozen=True)
class Told:
    """A story as a page shows it; `ident` is its place among those of the page."""

    ident: str
    story: dict[str, Any]
    timeline: Timeline
    circle: Circle | None
    rows: list[dict[str, Any]]
    still_holds: list[str]
    rules_out: list[str]


def told(
    stories: list[dict[str, Any]], windows: list[dict[str, Any]] = (), whole: float | None = None
) -> list[Told]:  # type: ignore[assignment]
    """`windows`: label, start, end in seconds on the same axis as the stories."""
    used: set[int] = set()
    return [_told(f"story-{i}", story, list(windows), whole, used) for i, story in enumerate(stories, 1)]


def _told(
    ident: str, story: dict[str, Any], windows: list[dict[str, Any]], whole: float | None, used: set[int]
) -> Told:
    anchors = {}
    for op in story["operations"]:
        anchors[op["index"]] = f"{ident}-op-{op['index']}" if op["index"] in used else f"op-{op['index']}"
        used.add(op["index"])
    rows = [_row(op, story, anchors) for op in story["operations"]]
    broken = story.get("rules_out") or []
    holds = [LEVELS[level] for level in LEVELS if level not in broken] if broken else []
    near = [w for w in windows if whole is None or w["start"] <= max(whole, story["end"])]
    drawn = timeline(story, near, whole, anchors)
    return Told(
        ident,
        story,
        drawn,
        circle(story, anchors),
        rows,
        holds,
        [LEVELS.get(level, level) for level in broken],
    )


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
