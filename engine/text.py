"""Quantities in sentences: three figures that matter, a unit that fits, and "nothing" where there is none."""

import re
from collections.abc import Iterable, Sequence

from engine.tolerance import MEASURES

_UNIT = re.compile(r"(\d)(%|ms\b|s\b)")  # one that stands at its number


def seconds(value: float | None) -> str:
    """`1.42 s`, `130 ms`, `45 µs`; "unknown" for None."""
    if value is None:
        return "unknown"
    size = abs(value)
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("µs", 1e6)):
        if size * factor >= 1 or unit == "µs":
            scaled = value * factor
            digits = 0 if abs(scaled) >= 100 else 1 if abs(scaled) >= 10 else 2
            return f"{scaled:.{digits}f} {unit}" if size else "0 s"
    raise AssertionError


def share(value: float | None) -> str:
    """`99.95 %`; never rounded up to 100 % and never down to 0 %."""
    if value is None:
        return "unknown"
    text = f"{value * 100:.2f}"
    if text == "100.00":
        return "100 %" if value == 1 else "> 99.99 %"
    return "0 %" if value == 0 else f"{text} %"


def quantity(value: float | None, measure: str) -> str:
    return share(value) if MEASURES[measure] == "share" else seconds(value)


def bound(text: str) -> str:
    """A comparison as it is printed: `>= 99.9%` -> `≥ 99.9 %`."""
    return _UNIT.sub(r"\1 \2", text.replace(">=", "≥").replace("<=", "≤"))


def count(number: int, noun: str) -> str:
    """`1 write`, `3,214 writes`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def listed(items: Sequence[str]) -> str:
    """`n1`, `n1 and n2`, `n1, n2 and n3`."""
    *first, last = items
    return f"{', '.join(first)} and {last}" if first else last


def said_once(told: Iterable[tuple[str, str]]) -> list[str]:
    """What several say, each text once behind the names of those who say it: `n1 and n2: gone`."""
    found: dict[str, dict[str, None]] = {}
    for name, text in told:
        found.setdefault(text, {})[name] = None
    return [f"{listed(list(names))}: {text}" for text, names in found.items()]
