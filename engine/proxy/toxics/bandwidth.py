from typing import ClassVar

from engine.proxy.toxics import Attributes, Stage
from engine.proxy.toxics._queue import _Queue

SLICE = 0.01  # seconds' worth of bytes that go on at once
KB = 1000  # bytes


class Bandwidth(_Queue):
    """Lets at most `rate` kilobytes (1,000 bytes) a second pass; 0 is no limit."""

    attributes: ClassVar[Attributes] = {"rate": 0}
    enough = 64 * 1024

    def start(self, before: Stage | None) -> None:
        self._rate = self.toxic.attributes["rate"] * KB / 1e9  # bytes a nanosecond

    def take(self, data: bytes) -> None:
        now = self.flow.loop.now
        if self._rate <= 0:
            return self.put(now, data)
        size = len(data) if self.flow.datagrams else max(1, int(self._rate * 1e9 * SLICE))
        due = max(now, self.latest)
        for start in range(0, len(data), max(1, size)):
            piece = data[start : start + size]
            due += int(len(piece) / self._rate)
            self.put(due, piece)
        return None

    def end(self) -> None:
        self.put(self.flow.loop.now, None)
