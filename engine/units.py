"""Quantities as people write them: `100ms`, `10s`, `200/s`, `99.9%`, `64KiB`."""

import math
import re

DURATIONS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
RATES = {"/s": 1.0, "/min": 1 / 60, "/m": 1 / 60, "/h": 1 / 3600}
SIZES = {
    "B": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30,
}  # fmt: skip
SHARES = {"%": 0.01}
TABLES = {"duration": DURATIONS, "rate": RATES, "size": SIZES, "share": SHARES}
EXAMPLES = {
    "duration": "100ms, 10s or 5m",
    "rate": "200/s",
    "size": "64KiB or 10MB",
    "share": "99.9%",
}
_QUANTITY = re.compile(r"\s*(-?\d+(?:\.\d+)?(?:e-?\d+)?)\s*([a-zA-Zµ/%]*)\s*\Z")


def parse(text: object, unit: str) -> float:
    """`text` in base units: seconds, events a second, bytes, or a share between 0 and 1.

    Raises ValueError, with what would be right, for anything else. A bare 0 needs no unit.
    """
    table, example = TABLES[unit], EXAMPLES[unit]
    match = _QUANTITY.match(str(text))
    if isinstance(text, bool) or not match:
        raise ValueError(f"{text!r} is not a {unit}; write it like {example}")
    number, suffix = float(match[1]), match[2]
    if not suffix:
        if number == 0:
            return 0.0
        raise ValueError(f"{text!r} has no unit; write it like {example}")
    if suffix not in table:
        raise ValueError(f"{suffix!r} is not a unit of a {unit}; write it like {example}")
    if number < 0 or not math.isfinite(number):
        raise ValueError(f"{text!r} must not be negative")
    return number * table[suffix]


def show(value: float, unit: str) -> str:
    """The shortest text that `parse` reads back as `value`."""
    if value == 0:
        return {"duration": "0s", "rate": "0/s", "size": "0B", "share": "0%"}[unit]
    if unit == "share":
        return f"{_number(value * 100)}%"
    if unit == "rate":
        return f"{_number(value)}/s"
    if unit == "size":
        steps = [("GiB", 2.0**30), ("MiB", 2.0**20), ("KiB", 2.0**10), ("B", 1.0)]
        for suffix, factor in steps:
            if value >= factor and (value / factor).is_integer():
                return f"{_number(value / factor)}{suffix}"
        return f"{_number(value)}B"
    for suffix, factor in [("s", 1.0), ("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9)]:
        if value >= factor:
            return f"{_number(value / factor)}{suffix}"
    return f"{_number(value)}s"


def _number(value: float) -> str:
    return f"{round(value, 9):.10g}"
