"""Runs held against the first of them: what differs, and whether the difference can be told from chance.

All functions are pure. Availability: two proportions, Newcombe's interval of the difference from Wilson's of
each (Statistics in Medicine 17, 1998, method 10). Latency quantiles: the bootstrap, over blocks of readings in
a row because neighbours are alike. Times to recover: each is known to its uncertainty of measuring only, so one
run against another can tell no more than whether they lie further apart than both together.
"""

import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Z = 1.959964  # of 95 %
ROUNDS = 400  # of the bootstrap
BLOCKS = 50  # in which the readings are drawn
FEWEST = 100  # readings, below which no quantile is compared
Latencies = NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """`low` and `high` bound other - base at 95 %; None where nothing is known. `better` is None where not told."""

    name: str
    base: float | None
    other: float | None
    low: float | None = None
    high: float | None = None
    why: str = ""
    more_is_better: bool = False

    @property
    def delta(self) -> float | None:
        return None if self.base is None or self.other is None else self.other - self.base

    @property
    def told(self) -> bool:
        """Whether there is a difference that can be told from chance and from the error of measuring."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)

    @property
    def better(self) -> bool | None:
        if not self.told or self.delta is None:
            return None
        return (self.delta > 0) == self.more_is_better


def wilson(good: int, total: int) -> tuple[float, float]:
    """The 95 % interval of a share."""
    p, n = good / total, total
    middle = p + Z**2 / (2 * n)
    half = Z * math.sqrt(p * (1 - p) / n + Z**2 / (4 * n**2))
    return max((middle - half) / (1 + Z**2 / n), 0.0), min((middle + half) / (1 + Z**2 / n), 1.0)


def shares(name: str, base: tuple[int, int] | None, other: tuple[int, int] | None) -> Difference:
    """Two shares of good readings, each (good, total); None where nothing was read."""
    if not base or not other or not base[1] or not other[1]:
        known = [one[0] / one[1] if one and one[1] else None for one in (base, other)]
        return Difference(name, *known, why="one of them was not read", more_is_better=True)
    p, q = base[0] / base[1], other[0] / other[1]
    (pl, pu), (ql, qu) = wilson(*base), wilson(*other)
    low = (q - p) - math.sqrt((q - ql) ** 2 + (pu - p) ** 2)
    high = (q - p) + math.sqrt((qu - q) ** 2 + (p - pl) ** 2)
    why = f"of {base[1]:,} and {other[1]:,} readings"
    return Difference(name, p, q, low, high, why, more_is_better=True)


def quantiles(name: str, q: float, base: Latencies, other: Latencies) -> Difference:
    """One quantile of two series of latencies in the order of their readings."""
    values = [float(np.percentile(one, q)) if len(one) else None for one in (base, other)]
    if min(len(base), len(other)) < FEWEST:
        return Difference(name, *values, why=f"fewer than {FEWEST} readings")
    dice = np.random.default_rng(1)
    deltas = _resampled(other, q, dice) - _resampled(base, q, dice)
    low, high = (float(v) for v in np.percentile(deltas, (2.5, 97.5)))
    return Difference(name, *values, low, high, f"of {len(base):,} and {len(other):,} readings")


def _resampled(series: Latencies, q: float, dice: np.random.Generator) -> Latencies:
    """The quantile of each of ROUNDS series made of blocks of the first, drawn with replacement."""
    size = len(series) // BLOCKS or 1
    blocks = series[: len(series) // size * size].reshape(-1, size)
    drawn = dice.integers(0, len(blocks), (ROUNDS, len(blocks)))
    found = [np.percentile(blocks[row].ravel(), q) for row in drawn]
    return np.asarray(found)


def times(name: str, base: float | None, other: float | None, *uncertainties: float | None) -> Difference:
    """Two measured times, each right to its uncertainty."""
    if base is None or other is None:
        return Difference(name, base, other, why="one of them never happened")
    error = sum(u or 0.0 for u in uncertainties)
    delta = other - base
    return Difference(
        name, base, other, delta - error, delta + error, f"each is right to ± {error / 2:.3g} s"
    )


def document_changes(base: str, other: str) -> list[tuple[str, str]]:
    """What differs between two documents: (kind, line) with kind add, del, at or same; [] where nothing does."""
    kinds = {"+": "add", "-": "del", "@": "at"}
    lines = difflib.unified_diff(base.splitlines(), other.splitlines(), n=2, lineterm="")
    return [(kinds.get(line[:1], "same"), line) for line in list(lines)[2:]]


def aligned(events: Sequence[dict[str, Any]], zero: float) -> dict[str, Any]:
    """The intervals of a run as columns over the time since the fault; of several probes the first counts."""
    intervals = [event["data"] for event in events if event["kind"] == "interval"]
    probe = next((name for one in intervals for name in one.get("probes") or {}), None)
    rows = [(one["t"] - zero, (one.get("probes") or {}).get(probe) or {}) for one in intervals]
    return {
        "probe": probe,
        "t": [round(t, 4) for t, _ in rows],
        "availability": [100 * r["good"] / r["total"] if r.get("total") else None for _, r in rows],
        "p50": [_ms(r.get("p50")) for _, r in rows],
        "p99": [_ms(r.get("p99")) for _, r in rows],
    }


def _ms(value: float | None) -> float | None:
    return None if value is None else round(value * 1e3, 4)


def thinned(columns: dict[str, Any], most: int = 1000) -> dict[str, Any]:
    """At most so many points; of each group the worst is kept: the lowest availability, the highest latency."""
    size = -(-len(columns["t"]) // most)
    if size <= 1:
        return columns
    worst = {"t": lambda v: v[0], "availability": min, "p50": max, "p99": max}
    found: dict[str, Any] = {"probe": columns["probe"]}
    for name, choose in worst.items():
        groups = [columns[name][i : i + size] for i in range(0, len(columns[name]), size)]
        known = [[v for v in group if v is not None] for group in groups]
        found[name] = [choose(group) if group else None for group in known]
    return found
