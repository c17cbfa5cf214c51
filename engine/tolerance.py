"""Which readings count as steady: comparisons such as `availability >= 99.9%`, `p99 <= 200ms`."""

import operator
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine import units
from engine.errors import there_are

MEASURES = {"availability": "share", "p50": "duration", "p99": "duration", "max": "duration"}
OPERATORS = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}
_COMPARISON = re.compile(r"\s*(>=|<=|>|<)\s*(.+?)\s*\Z")


@dataclass(frozen=True)
class Comparison:
    """`measure` (see MEASURES) against `bound` in base units."""

    measure: str
    sign: str
    bound: float

    def holds(self, value: float | None) -> bool:
        """Whether `value` satisfies it; nothing was measured (None) does not."""
        return value is not None and bool(OPERATORS[self.sign](value, self.bound))

    def text(self) -> str:
        return f"{self.sign} {units.show(self.bound, MEASURES[self.measure])}"

    def __str__(self) -> str:
        return f"{self.measure} {self.text()}"


def comparison(measure: str, text: object) -> Comparison:
    """Reads `>= 99.9%`; raises ValueError saying what would be right."""
    if measure not in MEASURES:
        raise ValueError(f"{measure!r} is not measured; {there_are(measure, MEASURES)}")
    example = ">= 99.9%" if MEASURES[measure] == "share" else "<= 200ms"
    match = _COMPARISON.match(str(text))
    if not match:
        raise ValueError(f"{text!r} is not a comparison; write it like {example}")
    bound = units.parse(match[2], MEASURES[measure])
    if MEASURES[measure] == "share" and bound > 1:
        raise ValueError(f"{text!r} can never be reached; a share is at most 100%")
    return Comparison(measure, match[1], bound)


@dataclass(frozen=True)
class Tolerance:
    """All of its comparisons must hold."""

    comparisons: tuple[Comparison, ...]

    def broken(self, values: Mapping[str, float | None]) -> list[Comparison]:
        """The comparisons that `values` (measure -> reading in base units) does not satisfy."""
        return [c for c in self.comparisons if not c.holds(values.get(c.measure))]

    def bound(self, measure: str) -> float | None:
        return next((c.bound for c in self.comparisons if c.measure == measure), None)

    def to_dict(self) -> dict[str, Any]:
        return {c.measure: c.text() for c in self.comparisons}

    def texts(self) -> list[str]:
        return [str(c) for c in self.comparisons]
