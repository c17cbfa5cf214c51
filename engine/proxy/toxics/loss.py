import random
from typing import ClassVar

from engine.proxy.toxics import Attributes, Stage
from engine.proxy.toxics._reset import _Reset


class Loss(_Reset):
    """Loses a `share` of all connections (0 to 1): they are reset, also those that are open already.

    Of datagrams, a share is lost.
    """

    attributes: ClassVar[Attributes] = {"share": 1.0}

    @classmethod
    def wrong(cls, attributes: Attributes) -> str:
        return "" if 0 <= attributes["share"] <= 1 else "share must be from 0 to 1"

    def start(self, before: Stage | None) -> None:
        if not self.flow.datagrams and random.random() < self.toxic.attributes["share"]:
            self.begin(0)

    def take(self, data: bytes) -> None:
        if not self.flow.datagrams or random.random() >= self.toxic.attributes["share"]:
            super().take(data)
