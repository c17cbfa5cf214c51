"""Transactions on several objects at once; an object is retired when it was written so often."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any, ClassVar

from engine import registers
from engine.calls import Call
from engine.history import History
from engine.parameters import param
from engine.text import count
from engine.workloads import Counts, Workload


@dataclass(frozen=True)
class Transactions(Workload):
    """The base of workloads of transactions."""

    WRITE: ClassVar[str]

    keys: int = param(10, help="on how many objects at a time", least=1, most=1000)
    most_steps: int = param(4, help="reads and writes in one transaction, at most", least=1, most=20)
    reads: float = param(0.5, unit="share", help="the share of the steps that read", least=0, most=0.99)
    writes_a_key: int = param(
        64, help="how often an object is written before another takes its place", least=1, most=10_000
    )

    def does(self) -> str:
        return f"make transactions on {count(self.keys, 'object')}"

    def calls(self, dice: Random) -> Iterator[Call]:
        names, active = itertools.count(self.keys), list(range(self.keys))
        written = dict[int, int]()
        while True:
            steps: list[Any] = []
            for _ in range(dice.randint(1, self.most_steps)):
                place = dice.randrange(self.keys)
                key = active[place]
                if dice.random() < self.reads:
                    steps.append(["r", f"k{key}", None])
                    continue
                written[key] = written.get(key, 0) + 1
                steps.append([self.WRITE, f"k{key}", written[key]])
                if written[key] >= self.writes_a_key:
                    active[place] = next(names)
            yield Call("txn", steps)

    def counts(self, history: History) -> Counts:
        return registers.tally(history.columns, ("txn",))
