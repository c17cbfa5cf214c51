"""The operations of a story on one axis of time, a lane a client. Pure: a page shows it, a test reads it.

Positions are percentages of the width, so that nothing but the text keeps its size on any screen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from apps.axis import Tick, anchor, nice, percent
from engine.text import seconds

ROW = 36  # px of one operation
PAD = 0.06  # of the window, on both sides
TICKS = 5  # at most
LETTERS = 44  # of a label
LEAST = 1e-6  # s
THIN = 0.25  # percent: what is shorter is still seen


@dataclass(frozen=True)
class Bar:
    """One operation; `start` and `end` in seconds, `end` None where it never ended."""

    index: int
    anchor: str
    kind: str
    x: str
    width: str
    label: str
    label_x: str
    label_at: str  # start or end
    label_y: int
    y: int
    start: float
    end: float | None
    told: str


@dataclass(frozen=True)
class Lane:
    name: str
    height: int
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class Band:
    """When something was hurt."""

    x: str
    width: str
    label: str
    label_x: str
    start: float
    end: float | None


@dataclass(frozen=True)
class Mark:
    """A moment at which something happened to the system: a line through all lanes, with words at its top."""

    x: str
    label: str
    label_at: str  # start or end
    at: float


@dataclass(frozen=True)
class Timeline:
    lanes: tuple[Lane, ...]
    bands: tuple[Band, ...]
    marks: tuple[Mark, ...]
    ticks: tuple[Tick, ...]
    start: float  # of the window that is shown
    end: float
    whole_start: float
    whole_end: float

    @property
    def marked(self) -> bool:
        """Whether any mark is in the window that is shown."""
        return any(self.start <= mark.at <= self.end for mark in self.marks)


def timeline(
    story: dict[str, Any],
    windows: list[dict[str, Any]],
    whole: float | None,
    anchors: dict[int, str],
    moments: Sequence[dict[str, Any]] = (),
) -> Timeline:
    """`windows` have label, start and end (None: not over) in seconds; `whole` is how long all lasted.

    `moments` have label and at.
    """
    start, end = _window(story)
    scale = _Scale(start, end)
    ops = sorted(story["operations"], key=lambda op: (_place(story, op), op["start"]))
    lanes = [
        _lane(story, list(mine), scale, anchors) for _, mine in groupby(ops, key=lambda op: op["process"])
    ]
    bands = [_band(window, scale) for window in windows]
    return Timeline(
        tuple(lanes), tuple(bands), tuple(_mark(m, scale) for m in moments), _ticks(scale), start, end,
        min(0.0, start), max(whole or 0.0, end),
    )  # fmt: skip


def _window(story: dict[str, Any]) -> tuple[float, float]:
    """The shortest that shows it, with a little around."""
    start, end = float(story["start"]), float(story["end"])
    room = max((end - start) * PAD, LEAST)
    return start - room, end + room


def _place(story: dict[str, Any], op: dict[str, Any]) -> tuple[float, int]:
    """Clients in the order in which they first come."""
    first = min(o["start"] for o in story["operations"] if o["process"] == op["process"])
    return first, op["process"]


@dataclass(frozen=True)
class _Scale:
    start: float
    end: float

    def at(self, time: float) -> float:
        """In percent, kept near what is shown."""
        return min(max((time - self.start) / (self.end - self.start) * 100, -100.0), 200.0)


def _lane(story: dict[str, Any], ops: list[dict[str, Any]], scale: _Scale, anchors: dict[int, str]) -> Lane:
    bars = tuple(_bar(story, op, i, scale, anchors) for i, op in enumerate(ops))
    return Lane(f"client {ops[0]['process']}", ROW * len(bars) + 6, bars)


def _bar(story: dict[str, Any], op: dict[str, Any], row: int, scale: _Scale, anchors: dict[int, str]) -> Bar:
    open_ = op["end"] is None or op["type"] == "info"
    x, until = scale.at(op["start"]), 100.0 if open_ else scale.at(op["end"])
    left = x <= 50
    label = op["label"] if len(op["label"]) <= LETTERS else f"{op['label'][: LETTERS - 1]}…"
    kinds = [
        op["type"],
        "culprit" if op["index"] in story["culprits"] else "",
        "maybe" if op["maybe"] else "",
    ]
    return Bar(
        op["index"], anchors[op["index"]], " ".join(kind for kind in kinds if kind), percent(x),
        percent(max(until - x, THIN)), label, percent(x if left or open_ else until),
        "start" if left or (open_ and x < 60) else "end", row * ROW + 14, row * ROW + 19, op["start"],
        None if open_ else op["end"], f"{label}: client {op['process']} {op['told']}; {times(op)}",
    )  # fmt: skip


def times(op: dict[str, Any]) -> str:
    """From when to when an operation lasted, in words."""
    digits = 6 if op["end"] is None or op["end"] - op["start"] < 0.001 else 4
    start = f"{op['start']:.{digits}f}"
    if op["end"] is None:
        return f"from {start} s, never answered"
    return f"{start} to {op['end']:.{digits}f} s ({seconds(op['end'] - op['start'])})"


def _band(window: dict[str, Any], scale: _Scale) -> Band:
    x = scale.at(window["start"])
    end = 200.0 if window["end"] is None else scale.at(window["end"])
    return Band(
        percent(x), percent(max(end - x, 0.0)), window["label"], percent(max(x, 0.0)),
        window["start"], window["end"],
    )  # fmt: skip


def _mark(moment: dict[str, Any], scale: _Scale) -> Mark:
    x = scale.at(moment["at"])
    return Mark(percent(x), moment["label"], "start" if x <= 60 else "end", moment["at"])


def _ticks(scale: _Scale) -> tuple[Tick, ...]:
    step = nice((scale.end - scale.start) / TICKS)
    first = int(scale.start // step) + 1
    found = [(first + i) * step for i in range(TICKS + 1)]
    return tuple(
        Tick(percent(scale.at(t)), tick(t, step), anchor(scale.at(t)))
        for t in found if t <= scale.end
    )  # fmt: skip


def tick(time: float, step: float) -> str:
    """With as many digits as the step has: `4.25 s`, `350 ms`."""
    if abs(time) < 1 and step < 0.1:
        unit, factor = ("ms", 1e3) if step >= 1e-6 else ("µs", 1e6)
    else:
        unit, factor = "s", 1.0
    digits = next((d for d in range(7) if step * factor >= 0.999 * 10.0**-d), 7)
    return f"{time * factor:,.{digits}f} {unit}"
