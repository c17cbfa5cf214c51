import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from engine.calls import Call
from engine.text import count
from engine.workloads._keyed import Keyed


@dataclass(frozen=True)
class Register(Keyed):
    """Writes values to registers, each value once, and reads them: does every answer fit into one order?"""

    keeps: ClassVar[str] = "register"
    checkers: ClassVar[tuple[str, ...]] = ("linearizable", "sessions", "staleness", "versions")
    tells_lost: ClassVar[bool] = True

    def does(self) -> str:
        return f"write and read {count(self.keys, 'register')}"

    def calls(self, dice: Random) -> Iterator[Call]:
        key = self.chooser(dice)
        for value in itertools.count(1):
            while dice.random() < self.reads:
                yield Call("read", None, key())
            yield Call("write", value, key())

    def last(self) -> list[Call]:
        return [Call("read", None, key) for key in self.objects()]
