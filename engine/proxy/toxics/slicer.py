import random
from typing import ClassVar

from engine.proxy.toxics import Attributes
from engine.proxy.toxics._queue import _Queue

US = 1_000  # nanoseconds


class Slicer(_Queue):
    """Cuts what comes into pieces of `average_size` ± `size_variation` bytes, `delay` microseconds apart."""

    carries: ClassVar[tuple[str, ...]] = ("tcp",)
    attributes: ClassVar[Attributes] = {"average_size": 0, "size_variation": 0, "delay": 0}
    enough = 256 * 1024

    def take(self, data: bytes) -> None:
        now, delay = self.flow.loop.now, int(self.toxic.attributes["delay"] * US)
        start = 0
        while start < len(data):
            end = start + (self._size() or len(data))
            due = self.latest + delay if self.latest else now
            self.put(max(now, due), data[start:end])
            start = end

    def _size(self) -> int:
        """Of the next piece; 0 is all there is."""
        told = self.toxic.attributes
        average, variation = int(told["average_size"]), max(0, int(told["size_variation"]))
        if average <= 0 or self.flow.datagrams:
            return 0
        return max(1, average + random.randint(-variation, variation))

    def end(self) -> None:
        self.put(self.flow.loop.now, None)
