import random
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from engine.proxy.loop import Timer
from engine.proxy.toxics import Attributes, Stage, Toxic

if TYPE_CHECKING:
    from engine.proxy.datagrams import DatagramFlow
    from engine.proxy.flow import Flow

MS = 1_000_000  # nanoseconds


class Reorder(Stage):
    """Holds a `share` of datagrams back by `delay` milliseconds, so that later ones overtake them."""

    attributes: ClassVar[Attributes] = {"share": 0.1, "delay": 10}
    carries: ClassVar[tuple[str, ...]] = ("udp",)

    def __init__(self, flow: "Flow | DatagramFlow", toxic: Toxic) -> None:
        super().__init__(flow, toxic)
        self._late: dict[int, tuple[Timer, bytes]] = {}
        self._count = 0

    @classmethod
    def wrong(cls, attributes: Attributes) -> str:
        return "" if 0 <= attributes["share"] <= 1 else "share must be from 0 to 1"

    def take(self, data: bytes) -> None:
        told = self.toxic.attributes
        if random.random() >= told["share"]:
            return self.next.take(data)
        self._count += 1
        due = self.flow.loop.now + int(max(0, told["delay"]) * MS)
        self._late[self._count] = self.flow.loop.at(due, self._giver(self._count)), data
        self.flow.pending += len(data)
        return None

    def _giver(self, number: int) -> Callable[[], None]:
        return lambda: self._give(number)

    def _give(self, number: int) -> None:
        timer, data = self._late.pop(number)
        timer.cancel()
        self.flow.pending -= len(data)
        self.next.take(data)

    def release(self) -> None:
        for number in list(self._late):
            self._give(number)

    def stop(self) -> None:
        for timer, _ in self._late.values():
            timer.cancel()
        self._late.clear()
