import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from engine import registers
from engine.calls import Call
from engine.history import History
from engine.parameters import param
from engine.workloads import Counts, Workload


@dataclass(frozen=True)
class Queue(Workload):
    """Enqueues numbers, each once, and dequeues them: in order, each once, and none is lost?"""

    keeps: ClassVar[str] = "queue"
    checkers: ClassVar[tuple[str, ...]] = ("queue",)

    dequeues: float = param(
        0.5, unit="share", help="the share of the operations that dequeue", least=0, most=0.9
    )

    def does(self) -> str:
        return "enqueue and dequeue"

    def calls(self, dice: Random) -> Iterator[Call]:
        for number in itertools.count(1):
            while dice.random() < self.dequeues:
                yield Call("dequeue")
            yield Call("enqueue", number)

    def last(self) -> list[Call]:
        return [Call("drain")]

    def counts(self, history: History) -> Counts:
        return registers.tally(history.columns, ("enqueue",))
