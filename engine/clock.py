"""Time: monotonic nanoseconds for everything measured, and a wall anchor to say when that was."""

import ctypes
import os
import struct
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime

NS = 1_000_000_000
now_ns = time.monotonic_ns


@dataclass(frozen=True)
class Anchor:
    """One instant on both clocks."""

    monotonic_ns: int
    wall_ns: int

    def iso(self, monotonic_ns: int) -> str:
        """The wall time of a monotonic time, as ISO 8601 in UTC."""
        wall = self.wall_ns + monotonic_ns - self.monotonic_ns
        return datetime.fromtimestamp(wall / NS, UTC).isoformat(timespec="milliseconds")


def anchor() -> Anchor:
    """Both clocks read together: the closest of a few tries, so a preemption in between is not kept."""
    tries = []
    for _ in range(5):
        before, wall, after = now_ns(), time.time_ns(), now_ns()
        tries.append((after - before, Anchor((before + after) // 2, wall)))
    return min(tries, key=lambda t: t[0])[1]


def hurry() -> bool:
    """Asks the kernel to run this process, and its children, before others; only root may.

    For what measures, since a look that was late only here would be taken for a slow system; and for what heals.
    """
    try:
        os.setpriority(os.PRIO_PROCESS, 0, -15)
    except (PermissionError, AttributeError):
        return False
    return True


def timer_fd(first_ns: int, every_ns: int) -> int | None:
    """A file descriptor that turns readable at `first_ns` and every `every_ns` after it.

    Event loops round their timers to a millisecond; the kernel does not. None where there is no
    timerfd. (`os.timerfd_create` came with Python 3.13.)
    """
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    fd: int = libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
    if fd < 0:
        return None
    times = struct.pack("qqqq", every_ns // NS, every_ns % NS, first_ns // NS, first_ns % NS)
    absolute = 1
    if libc.timerfd_settime(fd, absolute, times, None) < 0:
        os.close(fd)
        return None
    return fd
