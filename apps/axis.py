"""Where things stand on a drawn axis: places in percent, as SVG takes them, and steps between ticks. Pure."""

from dataclasses import dataclass

STEPS = (1, 2, 5, 10)
EDGE = 8.0  # percent: a label so near to an end of the axis would be cut off in the middle of its tick


@dataclass(frozen=True)
class Tick:
    """`anchor` is the end of the label that stands at `x`: start, middle or end."""

    x: str
    label: str
    anchor: str


def percent(value: float) -> str:
    return f"{value:.3f}%"


def anchor(x: float, low: float = EDGE, high: float = 100.0 - EDGE) -> str:
    """Of a label at `x` percent."""
    return "start" if x < low else "end" if x > high else "middle"


def nice(least: float) -> float:
    """1, 2 or 5 of some power of ten, not below `least`, as far as floats can tell."""
    power = 1e-9
    while power * 10 <= least:
        power *= 10
    return next((power * n for n in STEPS if power * n >= least * 0.999), power * 10)
