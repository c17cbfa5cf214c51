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
class Kv(Keyed):
    """Puts texts under keys, appends to them, and gets them."""

    keeps: ClassVar[str] = "kv"
    checkers: ClassVar[tuple[str, ...]] = ("linearizable", "sessions", "staleness", "versions")
    tells_lost: ClassVar[bool] = True
    READ: ClassVar[str] = "get"
    WRITES: ClassVar[tuple[str, ...]] = ("put", "append")

    appends: float = param(
        0.0, unit="share", help="the share of the changes that append; they are harder to judge", least=0, most=0.9
    )  # fmt: skip

    def does(self) -> str:
        return f"put and get texts under {count(self.keys, 'key')}"

    def calls(self, dice: Random) -> Iterator[Call]:
        key = self.chooser(dice)
        for value in itertools.count(1):
            while dice.random() < self.reads:
                yield Call("get", None, key())
            f = "append" if dice.random() < self.appends else "put"
            yield Call(f, f"v{value};", key())

    def last(self) -> list[Call]:
        return [Call("get", None, key) for key in self.objects()]
