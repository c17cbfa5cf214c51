from typing import ClassVar

from engine.proxy.toxics import Attributes
from engine.proxy.toxics._queue import _Queue

MS = 1_000_000  # nanoseconds


class SlowClose(_Queue):
    """Delays the end of the stream by `delay` milliseconds; what comes before it passes."""

    carries: ClassVar[tuple[str, ...]] = ("tcp",)
    attributes: ClassVar[Attributes] = {"delay": 0}

    def end(self) -> None:
        self.put(self.flow.loop.now + int(self.toxic.attributes["delay"] * MS), None)
