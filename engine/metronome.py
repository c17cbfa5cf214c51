"""A schedule that nothing delays: open-loop measuring calls at fixed times, whatever the answers take."""

import asyncio
import os
from collections.abc import Callable

from engine.clock import NS, now_ns, timer_fd

LEAD_IN_NS = 20_000_000  # the first tick is so far ahead that nothing is late for it


class Metronome:
    """Calls `tick(scheduled)` for every multiple of the interval; none is skipped, late ones are made up."""

    def __init__(self, first_ns: int, every_ns: int, tick: Callable[[int], None]) -> None:
        self._next, self._every, self._tick = first_ns, every_ns, tick
        self._loop = asyncio.get_running_loop()
        self._fd = timer_fd(first_ns, every_ns)
        self._timer: asyncio.TimerHandle | None = None
        if self._fd is not None:
            self._loop.add_reader(self._fd, self._readable)
        else:
            self._sleep()

    def _readable(self) -> None:
        assert self._fd is not None
        try:
            os.read(self._fd, 8)
        except BlockingIOError:
            return
        self._due()

    def _sleep(self) -> None:
        self._timer = self._loop.call_later(max(0.0, (self._next - now_ns()) / NS), self._woken)

    def _woken(self) -> None:
        self._due()
        self._sleep()

    def _due(self) -> None:
        now = now_ns()
        while self._next <= now:
            self._tick(self._next)
            self._next += self._every

    def stop(self) -> None:
        if self._timer:
            self._timer.cancel()
        if self._fd is not None:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = None
