import random
from typing import ClassVar

from engine.proxy.toxics import Attributes, Stage


class Corrupt(Stage):
    """Flips one bit in a `share` (0 to 1) of what is passed on, piece by piece."""

    attributes: ClassVar[Attributes] = {"share": 1.0}

    @classmethod
    def wrong(cls, attributes: Attributes) -> str:
        return "" if 0 <= attributes["share"] <= 1 else "share must be from 0 to 1"

    def take(self, data: bytes) -> None:
        if data and random.random() < self.toxic.attributes["share"]:
            changed = bytearray(data)
            changed[random.randrange(len(data))] ^= 1 << random.randrange(8)
            data = bytes(changed)
        self.next.take(data)
