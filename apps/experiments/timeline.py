"""The drawing of a plan, and the plan in words. Pure: a page shows it, a test reads it."""

from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from apps.axis import Tick, anchor, percent
from engine import units
from engine.experiment import Experiment
from engine.text import bound, count, seconds

NICE = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)
TICKS = 8  # at most
SLIM = 0.2  # of the whole


@dataclass(frozen=True)
class Bar:
    """Positions are percentages, as SVG takes them; the label stands where there is room for it."""

    kind: str
    x: str
    width: str
    label: str
    label_x: str
    anchor: str
    title: str
    step: int | None = None  # of a fault: its place among the faults of the experiment


@dataclass(frozen=True)
class Lane:
    name: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class Drawing:
    phases: tuple[Bar, ...]
    lanes: tuple[Lane, ...]
    ticks: tuple[Tick, ...]
    words: tuple[tuple[str, str], ...]
    whole: float  # seconds from its left end to its right one


def draw(experiment: Experiment, plan: dict[str, Any]) -> Drawing:
    whole = max(float(plan["duration"]), 0.001)
    lanes = [_lane(list(steps), whole) for _, steps in groupby(plan["steps"], key=_step_of)]
    if experiment.workload:
        lanes.insert(0, Lane("load", (_bar("load", 0.0, whole, _workload(experiment), whole),)))
    lanes.append(Lane("watch", (_bar("watch", 0.0, whole, _watching(experiment), whole),)))
    phases = [_bar(_phase(p, whole), p["start"], p["end"], p["name"], whole) for p in plan["phases"]]
    return Drawing(tuple(phases), tuple(lanes), _ticks(whole), _words(experiment, plan), whole)


def _phase(phase: dict[str, Any], whole: float) -> str:
    """Its class; the name of a slim one has no room on a telephone."""
    slim = " slim" if phase["end"] - phase["start"] < SLIM * whole else ""
    return f"phase {phase['name']}{slim}"


def _step_of(planned: dict[str, Any]) -> str:
    """The step of which this is one time: `f0` of `f0.2`."""
    return str(planned["id"]).partition(".")[0]


def _lane(times: list[dict[str, Any]], whole: float) -> Lane:
    """One step; what it does is said once, at its last time, where there is room after it."""
    bars = [_bar("fault", t["start"], t["end"], t["line"], whole) for t in times]
    if len(bars) > 1:
        first, last = times[0], times[-1]
        end = _bar("fault", first["start"], last["end"], f"{first['line']}, {len(times)} times", whole)
        bars = [replace(bar, label="", kind="fault") for bar in bars]
        label_x, at = (last["end"], "start") if end.anchor == "start" else (first["start"], "end")
        bars[-1] = replace(
            bars[-1], label=end.label, label_x=percent(label_x / whole * 100), anchor=at, kind="fault"
        )
    step = int(_step_of(times[0]).removeprefix("f"))
    return Lane(times[0]["fault"], tuple(replace(bar, step=step) for bar in bars))


def _bar(kind: str, start: float, end: float, label: str, whole: float) -> Bar:
    x, width = start / whole * 100, (end - start) / whole * 100
    if width >= 45:
        label_x, at, kind = x, "start", f"{kind} wide"
    elif x + width <= 60:
        label_x, at = x + width, "start"
    else:
        label_x, at = x, "end"
    title = f"{label}, {_time(start)} to {_time(end)}"
    return Bar(kind, percent(x), percent(width), label, percent(label_x), at, title)


def _ticks(whole: float) -> tuple[Tick, ...]:
    step = next((n for n in NICE if whole / n <= TICKS), whole)
    times = [i * step for i in range(int(whole / step) + 1)]
    places = [t / whole * 100 for t in times]
    return tuple(Tick(percent(x), _time(t), anchor(x, 1.0, 97.0)) for x, t in zip(places, times, strict=True))


def _time(value: float) -> str:
    return (
        units.show(round(value, 3), "duration").replace("s", " s") if value < 600 else f"{value / 60:g} min"
    )


def _watching(experiment: Experiment) -> str:
    return "; ".join(
        f"{state.name} every {seconds(state.every)} · {bound(' · '.join(state.tolerance.texts()))}"
        for state in experiment.steady_state
    )


def _workload(experiment: Experiment) -> str:
    assert experiment.workload
    _, workload = experiment.workload
    return workload.line()


def _words(experiment: Experiment, plan: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """When, and what: one sentence for everything that will happen."""
    end = max((step["end"] for step in plan["steps"]), default=experiment.baseline)
    rows = [("before", "Looks whether it is steady. If it is not, nothing is hurt.")]
    if experiment.baseline:
        rows.append(("0 s", f"Watches for {_time(experiment.baseline)}: {_watching(experiment)}."))
    moments = []
    for _, group in groupby(plan["steps"], key=_step_of):
        moments += _told(list(group))
    rows += [(_time(at), text) for at, text in sorted(moments)]
    recovery = experiment.recovery
    rows.append(
        (
            _time(end),
            f"Waits until it is steady for {_time(recovery.stable)}, at most {_time(recovery.timeout)}.",
        )
    )
    rows += [("at any time", f"Stops and heals at once if {_abort(a)}.") for a in experiment.abort_when]
    rows.append(("then", _expecting(experiment)))
    return tuple(rows)


def _told(times: list[dict[str, Any]]) -> list[tuple[float, str]]:
    """When a step begins and ends, in words; one that hurts again and again is told once."""
    first, last = times[0], times[-1]
    again = f", {len(times)} times until {_time(last['end'])}" if len(times) > 1 else ""
    each = " after each time" if again else ""
    return [
        (first["start"], f"{_capital(first['line'])}{again}: {first['reach']}.{_cut(first)}"),
        (
            last["end"] if not again else first["end"],
            f"Heals it{each} and reads back that it is gone: {first['line']}.",
        ),
    ]


def _cut(step: dict[str, Any]) -> str:
    """The links that it cuts, one by one; "" where it cuts none."""
    if not step["cuts"]:
        return ""
    told = "; ".join(f"{cut['text']} ({cut['by']})" for cut in step["cuts"])
    return f" It cuts {told}{step['open'] and ': ' + step['open']}."


def _abort(condition: Any) -> str:
    return (
        f"{condition.probe} reads {bound(' and '.join(condition.when.texts()))} for {_time(condition.over)}"
    )


def _expecting(experiment: Experiment) -> str:
    expect = experiment.expect
    texts = [
        f"it recovers within {_time(expect.recover_within)}" if expect.recover_within is not None else "",
        f"the fault is detected within {_time(expect.detect_within)}"
        if expect.detect_within is not None
        else "",
        bound(str(expect.availability or "")),
        bound(str(expect.p99 or "")),
        _lost(expect.lost_writes),
        "every history is linearizable" if expect.linearizable else "",
    ]
    found = [text for text in texts if text]
    if not found:
        return "Judges nothing: no expectation is set, so the verdict will be unknown."
    return f"Holds if {'; '.join(found)}."


def _lost(most: int | None) -> str:
    if most is None:
        return ""
    return (
        f"at most {count(most, 'acknowledged write')} may be lost"
        if most
        else "no acknowledged write is lost"
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
