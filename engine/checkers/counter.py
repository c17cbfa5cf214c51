from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from engine.checkers import Checker, shown
from engine.checkers._live_counts import Sums
from engine.columns import NEVER, Ints
from engine.errors import BadInput, Problem
from engine.history import History
from engine.live import Watcher
from engine.samples import Outcome
from engine.specs import REGISTRY as SPECS
from engine.specs import refuse_others
from engine.text import count
from engine.verdict import Judgement, Verdict

NAME = "counter"
EXPECTED = "every read is between the sums of what was certainly and of what was possibly added"
MOST_FINDINGS = 100
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Counter(Checker):
    """Every read is a sum that the counter may have had then; where nothing is taken away, it never falls."""

    judges: ClassVar[tuple[str, ...]] = ("counter",)

    def check(self, history: History) -> Judgement:
        c = history.columns
        reads = c.named("read") & (c.outcome == Outcome.OK)
        if not reads.any():
            return Judgement(NAME, Verdict.UNKNOWN, "the counter was never read", EXPECTED, "unknown")
        findings: list[dict[str, Any]] = []
        for key in np.unique(c.key).tolist():
            findings += _Sums(history, np.flatnonzero(c.key == key)).findings()
        number = count(int(reads.sum()), "read")
        if findings:
            headline = (
                f"{len(findings):,} of {number} {'is' if len(findings) == 1 else 'are'} no sum that there was"
            )
            return Judgement(
                NAME,
                Verdict.VIOLATED,
                headline,
                EXPECTED,
                f"{len(findings):,} wrong",
                findings[:MOST_FINDINGS],
            )
        return Judgement(
            NAME, Verdict.HELD, f"{number}, each a sum that there may have been", EXPECTED, "0 wrong"
        )

    def live(self) -> Watcher | None:
        return Sums()


class _Sums:
    """One counter."""

    def __init__(self, history: History, rows: Ints) -> None:
        c = history.columns
        self.history, self.c = history, c
        self.adds = rows[(c.named("add") & (c.outcome != Outcome.FAIL))[rows]]
        self.reads = rows[(c.named("read") & (c.outcome == Outcome.OK))[rows]]
        refuse_others(c, NAME, SPECS.get(NAME).names)
        self.added = self._numbers(c.value, self.adds)
        self.read = self._numbers(c.result, self.reads)

    def _numbers(self, codes: Ints, rows: Ints) -> Numbers:
        values = [self.c.values.values[code] for code in codes[rows].tolist()]
        for row, value in zip(rows.tolist(), values, strict=True):
            if isinstance(value, bool) or not isinstance(value, int | float):
                name = self.c.fs.values[self.c.f[row]]
                problem = f"{name} must have a number, not {value!r}"
                raise BadInput([Problem(f"operation {self.c.index[row]}", problem)])
        return np.array(values, np.float64)

    def findings(self) -> list[dict[str, Any]]:
        least, most = self._bounds()
        outside = np.flatnonzero((self.read < least) | (self.read > most))
        found = [self._outside(int(i), least[i], most[i]) for i in outside]
        if len(self.added) and self.added.min() < 0:
            return found
        return found + self._falls(set(outside.tolist()))

    def _bounds(self) -> tuple[Numbers, Numbers]:
        """Of each read: an add counts for certain if it ended before, and perhaps if it began before the end."""
        c = self.c
        ended = np.where(c.outcome[self.adds] == Outcome.OK, c.completed[self.adds], NEVER)
        by_end, by_start = np.argsort(ended, kind="stable"), np.argsort(c.invoked[self.adds], kind="stable")
        certain = np.searchsorted(ended[by_end], c.invoked[self.reads], side="left")
        possible = np.searchsorted(c.invoked[self.adds][by_start], c.completed[self.reads], side="right")

        def sums(signed: Numbers, order: Ints, upto: Ints) -> Numbers:
            return np.concatenate([[0.0], np.cumsum(signed[order])])[upto]

        up, down = np.maximum(self.added, 0), np.minimum(self.added, 0)
        least = sums(up, by_end, certain) + sums(down, by_start, possible)
        return least, sums(up, by_start, possible) + sums(down, by_end, certain)

    def _outside(self, i: int, least: float, most: float) -> dict[str, Any]:
        (op,) = self.history.at([self.reads[i]])
        return {
            "kind": "out of bounds",
            **({} if op.key is None else {"key": op.key}),
            "why": f"{op.result} was read, where only {least:g} to {most:g} was possible",
            "operations": [shown(op)],
        }

    def _falls(self, known: set[int]) -> list[dict[str, Any]]:
        """Reads below one that had ended before they began."""
        c = self.c
        by_end = np.argsort(c.completed[self.reads], kind="stable")
        highest = np.maximum.accumulate(self.read[by_end])
        before = np.searchsorted(c.completed[self.reads][by_end], c.invoked[self.reads], side="left") - 1
        fell = np.flatnonzero((before >= 0) & (highest[np.maximum(before, 0)] > self.read))
        found = []
        for i in fell.tolist():
            if i in known:
                continue
            earlier = by_end[: before[i] + 1]
            first, second = self.history.at(
                [self.reads[earlier[np.argmax(self.read[earlier])]], self.reads[i]]
            )
            found.append({
                "kind": "fallen",
                **({} if first.key is None else {"key": first.key}),
                "why": f"{second.result} was read after {first.result}, and nothing was taken away",
                "operations": [shown(first), shown(second)],
            })  # fmt: skip
        return found
