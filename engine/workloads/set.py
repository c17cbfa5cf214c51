import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from engine import elements, units
from engine.history import History
from engine.text import count
from engine.workloads import Call, Workload


@dataclass(frozen=True)
class Set(Workload):
    """Adds numbers to a set, each once, and reads the set at the end: is every acknowledged one there?"""

    checker: ClassVar[str] = "set"
    keeps: ClassVar[str] = "set"
    last: ClassVar[Call | None] = ("read", None)

    def line(self) -> str:
        return f"{count(self.clients, 'client')} add elements to a set, {units.show(self.rate, 'rate')}"

    def calls(self) -> Iterator[Call]:
        return (("add", number) for number in itertools.count())

    def counts(self, history: History) -> dict[str, int | None]:
        return elements.counts(history)
