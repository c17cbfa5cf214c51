"""What the toxics that reset connections have in common."""

from engine.clock import NS
from engine.proxy.loop import Timer
from engine.proxy.toxics import Stage

GRACE = (
    10_000_000  # ns that a new connection has, so that its client sees that it was connected, and then reset
)


class _Reset(Stage):
    """From `begin` on nothing passes, and the connection is reset after `seconds`."""

    _timer: Timer | None = None

    def begin(self, seconds: float) -> None:
        self._wait = int(seconds * NS)
        self._arm(max(self.flow.loop.instant(), self.flow.connection.began + GRACE))

    def _arm(self, start: int) -> None:
        self.stop()
        self._timer = self.flow.loop.at(start + self._wait, self.flow.connection.abort)

    def take(self, data: bytes) -> None:
        if self._timer is None:
            self.next.take(data)
        elif self._timer.due > self.flow.loop.now + self._wait:
            self._arm(self.flow.loop.now)  # what it sends shows that it is connected

    def end(self) -> None:
        if self._timer is None:
            self.next.end()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
