import random
from typing import ClassVar

from engine.proxy.toxics import Attributes, Stage


class Duplicate(Stage):
    """Passes a `share` of datagrams on twice."""

    attributes: ClassVar[Attributes] = {"share": 1.0}
    carries: ClassVar[tuple[str, ...]] = ("udp",)

    @classmethod
    def wrong(cls, attributes: Attributes) -> str:
        return "" if 0 <= attributes["share"] <= 1 else "share must be from 0 to 1"

    def take(self, data: bytes) -> None:
        self.next.take(data)
        if random.random() < self.toxic.attributes["share"]:
            self.next.take(data)
