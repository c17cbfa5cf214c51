"""What workloads on many objects have in common: which object is next, and how often it is only read."""

import bisect
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from engine import registers
from engine.history import History
from engine.parameters import param
from engine.workloads import Counts, Workload


@dataclass(frozen=True)
class Keyed(Workload):
    """The base of workloads on many objects."""

    keys: int = param(20, help="on how many objects", least=1, most=100_000)
    spread: str = param(
        "uniform",
        choices=("uniform", "zipf"),
        help="how often each object is used: all alike, or the second half as often as the first, the third a third",
    )
    reads: float = param(
        0.5, unit="share", help="the share of the operations that only read", least=0, most=0.99
    )

    def objects(self) -> tuple[str, ...]:
        return tuple(f"k{n}" for n in range(self.keys))

    def chooser(self, dice: Random) -> Callable[[], str]:
        """Gives the key of the next operation."""
        names = self.objects()
        if self.spread == "uniform":
            return lambda: names[int(dice.random() * len(names))]
        heights = list(itertools.accumulate(1 / (n + 1) for n in range(len(names))))
        return lambda: names[bisect.bisect(heights, dice.random() * heights[-1], hi=len(names) - 1)]

    def counts(self, history: History) -> Counts:
        return registers.counts(history.columns, self.READ, self.WRITES)

    READ: ClassVar[str] = "read"
    WRITES: ClassVar[tuple[str, ...]] = ("write",)
