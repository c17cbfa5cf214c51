import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from engine import elements
from engine.calls import Call
from engine.history import History
from engine.parameters import param
from engine.workloads import Counts, Workload


@dataclass(frozen=True)
class Set(Workload):
    """Adds numbers to a set, each once, and reads the set at the end: is every acknowledged one there?"""

    keeps: ClassVar[str] = "set"
    checkers: ClassVar[tuple[str, ...]] = ("set",)
    tells_lost: ClassVar[bool] = True

    reads: float = param(
        0.0, unit="share", help="the share of the operations that read the whole set", least=0, most=0.9
    )

    def does(self) -> str:
        return "add elements to a set"

    def calls(self, dice: Random) -> Iterator[Call]:
        for number in itertools.count():
            while self.reads and dice.random() < self.reads:
                yield Call("read")
            yield Call("add", number)

    def last(self) -> list[Call]:
        return [Call("read")]

    def counts(self, history: History) -> Counts:
        return elements.counts(history)
