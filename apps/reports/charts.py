"""The charts of a report as SVG, drawn on the server. Pure: intervals in, text out; every peak is kept."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from apps.axis import nice

WIDTH, HEIGHT = 760, 128  # of one chart, in its own units
LEFT, RIGHT, TOP, BOTTOM = 62, 8, 22, 18
POINTS = 400  # a trace; of each group of intervals its worst is drawn

Point = tuple[float, float | None]
Interval = dict[str, Any]


@dataclass(frozen=True)
class Trace:
    """`kind` is its class: teal, amber, blue, red or muted. `points` are (s, value or None)."""

    name: str
    kind: str
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Chart:
    name: str
    unit: str
    traces: tuple[Trace, ...]
    top: float
    svg: SafeString


@dataclass(frozen=True)
class Band:
    label: str
    start: float
    end: float | None


@dataclass(frozen=True)
class Moment:
    """One point in time that is worth a line through all charts, and words in the first."""

    at: float
    text: str


def charts(
    intervals: Sequence[Interval],
    faults: Iterable[dict[str, Any]],
    end: float | None,
    back: Moment | None = None,
) -> list[Chart]:
    """Availability, latency and operations on one axis of time; none where nothing was measured.

    `back` is when the service was steady again.
    """
    if not intervals:
        return []
    end = max(end or 0.0, intervals[-1]["t"] + intervals[-1]["width"])
    bands = [
        Band(f.get("line", ""), f["injected_at"], f.get("healed_at"))
        for f in faults if f.get("injected_at") is not None
    ]  # fmt: skip
    found = []
    for name, unit, traces, top in (
        ("Availability", "%", _availability(intervals), 100.0),
        ("Latency p50 and p99", "ms", _latency(intervals), None),
        ("Operations a second", "/s", _operations(intervals), None),
    ):
        values = [v for trace in traces for _, v in trace.points if v is not None]
        if values:
            highest = top or nice(max(values))
            svg = _draw(name, unit, traces, highest, bands, end, back, first=not found)
            found.append(Chart(name, unit, tuple(traces), highest, svg))
    return found


# Intervals -> traces


def thinned(
    intervals: Sequence[Interval], value: Callable[[Interval], float | None], worst: Callable[..., float]
) -> tuple[Point, ...]:
    """One point a group of intervals, at the group's beginning, and with the group's worst value."""
    size = -(-len(intervals) // POINTS)
    points: list[Point] = []
    for i in range(0, len(intervals), size):
        group = intervals[i : i + size]
        known = [v for one in group if (v := value(one)) is not None]
        points.append((group[0]["t"], worst(known) if known else None))
    last = intervals[-1]
    return (*points, (last["t"] + last["width"], points[-1][1]))


def _probes(intervals: Sequence[Interval]) -> list[str]:
    return list(dict.fromkeys(name for one in intervals for name in one.get("probes") or {}))


def _availability(intervals: Sequence[Interval]) -> list[Trace]:
    def of(probe: str) -> Callable[[Interval], float | None]:
        def share(one: Interval) -> float | None:
            reading = (one.get("probes") or {}).get(probe) or {}
            return reading["good"] / reading["total"] * 100 if reading.get("total") else None

        return share

    kinds = ("teal", "blue", "muted")
    return [
        Trace(name, kinds[min(i, 2)], thinned(intervals, of(name), min))
        for i, name in enumerate(_probes(intervals))
    ]


def _latency(intervals: Sequence[Interval]) -> list[Trace]:
    def of(probe: str, key: str) -> Callable[[Interval], float | None]:
        def value(one: Interval) -> float | None:
            found = ((one.get("probes") or {}).get(probe) or {}).get(key)
            return None if found is None else found * 1e3

        return value

    names = _probes(intervals)
    return [
        Trace(f"{name} {key}" if len(names) > 1 else key, kind, thinned(intervals, of(name, key), max))
        for name in names for key, kind in (("p50", "blue"), ("p99", "amber"))
    ]  # fmt: skip


def _operations(intervals: Sequence[Interval]) -> list[Trace]:
    def of(key: str) -> Callable[[Interval], float | None]:
        def value(one: Interval) -> float | None:
            operations = one.get("ops")
            return operations.get(key, 0) / one["width"] if operations else None

        return value

    named = (("ok", "ok", "teal", min), ("fail", "failed", "red", max), ("info", "unknown", "muted", max))
    return [Trace(name, kind, thinned(intervals, of(key), worst)) for key, name, kind, worst in named]


# Traces -> SVG


def _draw(
    name: str,
    unit: str,
    traces: Sequence[Trace],
    top: float,
    bands: Sequence[Band],
    end: float,
    back: Moment | None,
    *,
    first: bool,
) -> SafeString:
    x, y = _scale(0.0, end, LEFT, WIDTH - RIGHT), _scale(top, 0.0, TOP, HEIGHT - BOTTOM)
    parts = [
        *(_band(band, x, end, named=first) for band in bands),
        *(_level(top * share, unit, y) for share in (0.0, 0.5, 1.0)),
        *(_tick(t, x) for t in _ticks(end)),
        *(_trace(trace, x, y) for trace in traces),
        *([_moment(back, x, named=first)] if back else []),
    ]
    return format_html(
        '<svg class="drawn" viewBox="0 0 {} {}" role="img" aria-label="{} over time, in {}">{}{}</svg>',
        WIDTH, HEIGHT, name, unit, HATCH, mark_safe("".join(parts)),
    )  # fmt: skip


HATCH = mark_safe(
    '<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<rect class="ground" width="6" height="6"/><path class="stripe" d="M0 0V6"/></pattern></defs>'
)


def _scale(a: float, b: float, low: float, high: float) -> Callable[[float], float]:
    span = (b - a) or 1.0
    return lambda value: round(low + (value - a) / span * (high - low), 2)


def _band(band: Band, x: Callable[[float], float], end: float, *, named: bool) -> SafeString:
    start, stop = x(max(band.start, 0.0)), x(min(end if band.end is None else band.end, end))
    rect = format_html(
        '<rect class="hurt" fill="url(#hatch)" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>',
        start, TOP, round(max(stop - start, 1.0), 2), HEIGHT - TOP - BOTTOM, band.label,
    )  # fmt: skip
    if not named:
        return rect
    right = start > WIDTH * 0.6
    return rect + format_html(
        '<text class="label" x="{}" y="{}" text-anchor="{}">{}</text>',
        stop if right else start, TOP - 8, "end" if right else "start", band.label,
    )  # fmt: skip


def _moment(moment: Moment, x: Callable[[float], float], *, named: bool) -> SafeString:
    at, bottom = x(moment.at), HEIGHT - BOTTOM
    line = format_html('<path class="back" d="M{} {}V{}"/>', at, TOP, bottom)
    if not named:
        return line
    late = at > WIDTH * 0.75
    return line + format_html(
        '<text class="back-label" x="{}" y="{}" text-anchor="{}">{}</text>',
        at - 5 if late else at + 5, bottom - 6, "end" if late else "start", moment.text,
    )  # fmt: skip


def _level(value: float, unit: str, y: Callable[[float], float]) -> SafeString:
    return format_html(
        '<path class="rule" d="M{} {}H{}"/><text class="tick" x="{}" y="{}" text-anchor="end">{} {}</text>',
        LEFT, y(value), WIDTH - RIGHT, LEFT - 7, y(value) + 4, f"{value:,g}", unit,
    )  # fmt: skip


def _ticks(end: float) -> list[float]:
    step = nice(end / 8) or 1.0
    return [step * i for i in range(int(end / step) + 1)]


def _tick(t: float, x: Callable[[float], float]) -> SafeString:
    at = x(t)
    anchor = "start" if at < LEFT + 8 else "end" if at > WIDTH - RIGHT - 16 else "middle"
    return format_html(
        '<text class="tick" x="{}" y="{}" text-anchor="{}">{} s</text>', at, HEIGHT - 4, anchor, f"{t:g}"
    )


def _trace(trace: Trace, x: Callable[[float], float], y: Callable[[float], float]) -> SafeString:
    """Steps: a value holds until the next; a gap where nothing was measured."""
    path, drawing = [], False
    for t, value in trace.points:
        if value is None:
            path += [f"H{x(t)}"] if drawing else []
            drawing = False
        elif drawing:
            path.append(f"H{x(t)}V{y(value)}")
        else:
            path.append(f"M{x(t)} {y(value)}")
            drawing = True
    return format_html(
        '<path class="trace {}" d="{}"><title>{}</title></path>', trace.kind, "".join(path), trace.name
    )


def legend(chart: Chart) -> SafeString:
    return format_html_join("", '<span class="{}">{}</span>', ((t.kind, t.name) for t in chart.traces))
