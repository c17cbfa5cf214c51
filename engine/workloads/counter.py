from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from engine import registers
from engine.calls import Call
from engine.history import History
from engine.text import count
from engine.workloads import Counts
from engine.workloads._keyed import Keyed


@dataclass(frozen=True)
class Counter(Keyed):
    """Adds to counters and reads them: does every answer lie between what must and what may have been added?"""

    keeps: ClassVar[str] = "counter"
    checkers: ClassVar[tuple[str, ...]] = ("counter",)

    def does(self) -> str:
        return f"add to {count(self.keys, 'counter')} and read them"

    def calls(self, dice: Random) -> Iterator[Call]:
        key = self.chooser(dice)
        while True:
            reads = dice.random() < self.reads
            yield Call("read", None, key()) if reads else Call("add", dice.randint(1, 5), key())

    def last(self) -> list[Call]:
        return [Call("read", None, key) for key in self.objects()]

    def counts(self, history: History) -> Counts:
        return registers.tally(history.columns, ("add",))
