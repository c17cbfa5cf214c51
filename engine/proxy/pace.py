"""How the kernel is to treat the proxy: at once while it must be on time, as others while it need not.

Who only forwards does more at once, and so costs less, when it is not woken for each message. And who
is busy without end must not keep others from the processor, so real time is only for who mostly waits.
"""

import contextlib
import os
import time
from collections.abc import Callable

NICE = -15
EVERY = 0.25  # seconds between two looks
BUSY = 0.5  # of a processor; above it there is no real time
LINGER = 1.0  # seconds: what was held back goes on in a hurry too


class Pace:
    """`after(seconds, call)` calls later."""

    def __init__(self, after: Callable[[float, Callable[[], None]], object]) -> None:
        self._after = after
        self._disturbed: set[object] = set()
        self._usual = os.getpriority(os.PRIO_PROCESS, 0)
        self._until = 0.0  # when the last disturbance will be long enough ago
        self._hurries = False
        self._used = 0.0

    def tell(self, link: object, disturbed: bool) -> None:
        """`link` has toxics from now on, or has none."""
        if disturbed:
            self._disturbed.add(link)
        elif link in self._disturbed:
            self._disturbed.discard(link)
            self._until = time.monotonic() + LINGER
        if self._disturbed and not self._hurries:
            self._hurries = True
            _nice(NICE)
            _real_time(True)
            self._used = time.process_time()
            self._after(EVERY, self._look)

    def _look(self) -> None:
        if not self._disturbed and time.monotonic() >= self._until:
            self._hurries = False
            _real_time(False)
            _nice(self._usual)
            return
        used, self._used = self._used, time.process_time()
        _real_time(self._used - used < BUSY * EVERY)
        self._after(EVERY, self._look)


def _nice(value: int) -> None:
    with contextlib.suppress(OSError):  # only root may
        os.setpriority(os.PRIO_PROCESS, 0, value)


def _real_time(wanted: bool) -> None:
    with contextlib.suppress(OSError):
        if wanted != (os.sched_getscheduler(0) == os.SCHED_FIFO):
            os.sched_setscheduler(0, os.SCHED_FIFO if wanted else os.SCHED_OTHER, os.sched_param(int(wanted)))
