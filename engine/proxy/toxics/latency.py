from collections.abc import Callable
from typing import ClassVar

from engine.proxy import chance
from engine.proxy.toxics import Attributes, Stage
from engine.proxy.toxics._queue import _Queue

MS = 1_000_000  # nanoseconds


class Latency(_Queue):
    """Delays everything by `latency` ± `jitter` milliseconds, in order; `distribution` says how it varies."""

    attributes: ClassVar[Attributes] = {"latency": 0, "jitter": 0}
    beyond: ClassVar[Attributes] = {"distribution": "uniform"}

    @classmethod
    def wrong(cls, attributes: Attributes) -> str:
        if attributes["distribution"] not in chance.DISTRIBUTIONS:
            return f"distribution must be one of {', '.join(chance.DISTRIBUTIONS)}"
        return ""

    def start(self, before: Stage | None) -> None:
        told = self.toxic.attributes
        self._delay, self._jitter = told["latency"] * MS, told["jitter"] * MS
        self._draw: Callable[[float, float], float] = chance.DISTRIBUTIONS[told["distribution"]]

    def _due(self) -> int:
        delay = self._draw(self._delay, self._jitter) if self._jitter else self._delay
        return self.flow.loop.now + int(max(0, delay))

    def take(self, data: bytes) -> None:
        self.put(self._due(), data)

    def end(self) -> None:
        self.put(self._due(), None)
