from typing import ClassVar

from engine.proxy.loop import Timer
from engine.proxy.toxics import Attributes, Stage


class Timeout(Stage):
    """Drops everything, and closes the connection after `timeout` milliseconds; 0 never closes it."""

    attributes: ClassVar[Attributes] = {"timeout": 0}
    _timer: Timer | None = None

    def start(self, before: Stage | None) -> None:
        if self.toxic.attributes["timeout"] > 0:
            seconds = self.toxic.attributes["timeout"] / 1000
            self._timer = self.flow.loop.after(seconds, self.flow.connection.close)

    def take(self, data: bytes) -> None:
        pass

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
