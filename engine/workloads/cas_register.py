import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from engine.calls import Call
from engine.parameters import param
from engine.text import count
from engine.workloads._keyed import Keyed


@dataclass(frozen=True)
class CasRegister(Keyed):
    """Writes, reads, and compares and sets registers: a value is set only where another one is."""

    keeps: ClassVar[str] = "cas-register"
    checkers: ClassVar[tuple[str, ...]] = ("linearizable", "sessions", "staleness", "versions")
    tells_lost: ClassVar[bool] = True
    WRITES: ClassVar[tuple[str, ...]] = ("write", "cas")

    cas: float = param(
        0.5, unit="share", help="the share of the changes that compare and set", least=0, most=1
    )

    def does(self) -> str:
        return f"compare, set and read {count(self.keys, 'register')}"

    def calls(self, dice: Random) -> Iterator[Call]:
        """What is compared with is what was asked to be written there last."""
        key, latest = self.chooser(dice), dict[str, int]()
        for value in itertools.count(1):
            while dice.random() < self.reads:
                yield Call("read", None, key())
            chosen = key()
            old = latest.get(chosen)
            latest[chosen] = value
            if old is not None and dice.random() < self.cas:
                yield Call("cas", [old, value], chosen)
            else:
                yield Call("write", value, chosen)

    def last(self) -> list[Call]:
        return [Call("read", None, key) for key in self.objects()]
