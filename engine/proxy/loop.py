"""The one thread of the proxy: sockets by epoll, delays by one timer of the kernel, orders in between."""

import contextlib
import ctypes
import heapq
import itertools
import os
import select
import struct
import time
from collections import deque
from collections.abc import Callable

from engine.clock import NS, timer_fd
from engine.errors import EngineError
from engine.proxy.pace import Pace

IN_OR_OVER = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
OVER = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
OUT = select.EPOLLOUT | select.EPOLLHUP | select.EPOLLERR
EDGES = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET
_LEVEL = select.EPOLLIN
_ABSOLUTE = 1
_FAR = 1 << 62
WAKE = 40_000  # ns that it takes at least, until what was slept for is seen here and elsewhere
LONGEST = 150_000  # ns that are believed
LEAD = 150_000  # ns by which the timer is set early
ASLEEP = 1_000_000  # ns after which a processor may have gone to sleep
MOST = 512  # events at once


class Timer:
    """A call that waits in the delay line; `cancel` takes it out."""

    __slots__ = ("call", "due")

    def __init__(self, due: int, call: Callable[[], None]) -> None:
        self.due = due
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        self.call = None


class Loop:
    """`now` is when the events at hand happened, as nearly as can be told, in monotonic nanoseconds."""

    def __init__(self) -> None:
        if not hasattr(select, "epoll"):
            raise EngineError("The link proxy needs Linux: there is no epoll on this system.")
        self._epoll = select.epoll()
        self._handlers: dict[int, Callable[[int], None]] = {}
        self._line: list[tuple[int, int, Timer]] = []
        self._count = itertools.count()
        self._next: deque[Callable[[], None]] = deque()
        self._foreign: deque[Callable[[], None]] = deque()
        self._alarm = _Alarm()
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.pace = Pace(self.after)
        self.now = time.monotonic_ns()
        self.watch(self._alarm.fd, lambda mask: self._alarm.heard(), _LEVEL)
        self.watch(self._bell, lambda mask: self._answer(), _LEVEL)

    @staticmethod
    def instant() -> int:
        """The monotonic time of this very moment, in nanoseconds."""
        return time.monotonic_ns()

    def watch(self, fd: int, handler: Callable[[int], None], mask: int = EDGES) -> None:
        """Calls `handler(mask)` for what happens on `fd`, by default once for each change."""
        self._handlers[fd] = handler
        self._epoll.register(fd, mask)

    def rewatch(self, fd: int, handler: Callable[[int], None], mask: int = EDGES) -> None:
        """Another handler; what is there already is told to it again."""
        self._handlers[fd] = handler
        self._epoll.modify(fd, mask)

    def hand_over(self, fd: int, handler: Callable[[int], None]) -> None:
        """Another handler, for what is to come."""
        self._handlers[fd] = handler

    def forget(self, fd: int) -> None:
        """Before `fd` is closed."""
        if self._handlers.pop(fd, None) is not None:
            with contextlib.suppress(OSError):
                self._epoll.unregister(fd)

    def at(self, due: int, call: Callable[[], None]) -> Timer:
        """Calls at `due`, in monotonic nanoseconds, and not before."""
        timer = Timer(due, call)
        heapq.heappush(self._line, (due, next(self._count), timer))
        return timer

    def after(self, seconds: float, call: Callable[[], None]) -> Timer:
        return self.at(time.monotonic_ns() + int(seconds * NS), call)

    def soon(self, call: Callable[[], None]) -> None:
        """Calls after the events at hand; others come in between."""
        self._next.append(call)

    def from_thread(self, call: Callable[[], None]) -> None:
        """As `soon`, from another thread."""
        self._foreign.append(call)
        os.eventfd_write(self._bell, 1)

    def run(self) -> None:
        handlers, clock = self._handlers, time.monotonic_ns
        while True:
            for fd, mask in self._gather() if self._next else self._sleep():
                handler = handlers.get(fd)
                if handler is not None:
                    handler(mask)
            if self._line and self._line[0][0] <= clock():
                self._ring()
            for _ in range(len(self._next)):
                self._next.popleft()()

    def _gather(self) -> list[tuple[int, int]]:
        """The events at hand, without waiting for one."""
        events = self._epoll.poll(0, MOST)
        self.now = time.monotonic_ns()
        return events

    def _sleep(self) -> list[tuple[int, int]]:
        """Events, when there are some. What woke it happened a little before it was awake."""
        alarm, clock = self._alarm, time.monotonic_ns
        if self._line:
            alarm.set(self._line[0][0])
        began = clock()
        events = self._epoll.poll(-1, MOST)
        woke = clock()
        self.now = woke - (alarm.lag if woke - began > ASLEEP else WAKE)
        if alarm.early and len(events) == 1 and events[0][0] == alarm.fd:
            self._await(alarm.woken(woke))
            return []
        return events

    def _await(self, due: int) -> None:
        """Until `due`, awake: what happens meanwhile is seen as it happens."""
        poll, clock, handlers = self._epoll.poll, time.monotonic_ns, self._handlers
        while (now := clock()) < due:
            for fd, mask in poll(0, MOST):
                self.now = now
                if handler := handlers.get(fd):
                    handler(mask)

    def _ring(self) -> None:
        line, pop = self._line, heapq.heappop
        now = time.monotonic_ns()
        while line and line[0][0] <= now:
            call = pop(line)[2].call
            if call is not None:
                call()

    def _answer(self) -> None:
        os.eventfd_read(self._bell)
        while self._foreign:
            self._next.append(self._foreign.popleft())


class _Alarm:
    """One timer of the kernel, set to the next instant that matters. Python has none before 3.13.

    A processor that sleeps takes its time to wake: where it has slept, the timer is set a little `early`,
    and the rest is waited for awake.
    """

    def __init__(self) -> None:
        fd = timer_fd(_FAR, 0)
        if fd is None:
            raise EngineError("The link proxy needs Linux: there is no timerfd on this system.")
        self.fd, self._set, self._last = fd, _FAR, 0
        self.early = False
        self.lag = WAKE  # ns that it took to wake, of late
        self._settime = ctypes.CDLL(None).timerfd_settime
        self._settime.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)

    def set(self, due: int) -> None:
        if due != self._set:
            self._set = due
            lead = LEAD if due - self._last > ASLEEP else 0
            self.early = lead > 0
            due = max(due - lead, 1)  # zero would disarm it
            self._settime(self.fd, _ABSOLUTE, struct.pack("qqqq", 0, 0, due // NS, due % NS), None)

    def woken(self, woke: int) -> int:
        """It was heard at `woke`, which shows how long it took to wake up; when it is due."""
        lag = min(max(woke - self._set + LEAD, WAKE), LONGEST)
        self.lag += (lag - self.lag) // 8
        due = self._set
        self.heard()
        return due

    def heard(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self.fd, 8)
        self._last, self._set, self.early = self._set, _FAR, False
