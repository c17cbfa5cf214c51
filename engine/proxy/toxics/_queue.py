"""What the toxics that delay have in common: pieces that wait for their time, in order."""

from collections import deque
from typing import TYPE_CHECKING

from engine.proxy.loop import Timer
from engine.proxy.toxics import Stage, Toxic

if TYPE_CHECKING:
    from engine.proxy.datagrams import DatagramFlow
    from engine.proxy.flow import Flow


BURST = 256  # pieces given on in a row, before others come


class _Queue(Stage):
    def __init__(self, flow: "Flow | DatagramFlow", toxic: Toxic) -> None:
        super().__init__(flow, toxic)
        self.waiting: deque[tuple[int, bytes | None]] = deque()
        self.latest = 0  # when the last of those that wait is due, in monotonic nanoseconds
        self._timer: Timer | None = None

    def put(self, due: int, data: bytes | None) -> None:
        """`data` is given on at `due`, and never before what came before it; None is the end."""
        due = self.latest = max(due, self.latest)
        if data is not None:
            self.flow.pending += len(data)
        self.waiting.append((due, data))
        if self._timer is None:
            self._timer = self.flow.loop.at(due, self._tick)

    def _tick(self) -> None:
        self._timer = None
        waiting, now = self.waiting, self.flow.loop.instant()
        for _ in range(BURST):
            if not waiting or waiting[0][0] > now:
                break
            self._give(waiting.popleft()[1])
        if waiting:
            self._timer = self.flow.loop.at(waiting[0][0], self._tick)
        self.flow.resume()

    def _give(self, data: bytes | None) -> None:
        if data is None:
            self.next.end()
        else:
            self.flow.pending -= len(data)
            self.next.take(data)

    def release(self) -> None:
        self._disarm()
        while self.waiting:
            self._give(self.waiting.popleft()[1])

    def stop(self) -> None:
        self._disarm()
        self.waiting.clear()

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
