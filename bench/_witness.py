"""Was the machine itself held up? One clock on each processor that notes when it was called late."""

import os
import select
import threading
from typing import NamedTuple

from engine.clock import now_ns, timer_fd

EVERY = 1_000_000
LATE = 5_000_000  # ns; a call later than this is noted


class Late(NamedTuple):
    due: int
    called: int


class Witness:
    """Beside whatever is measured: it sees other processes and the hypervisor, and none of ours."""

    def __init__(self) -> None:
        self._late: list[Late] = []
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=self._watch, args=(cpu,), daemon=True) for cpu in os.sched_getaffinity(0)
        ]

    def __enter__(self) -> "Witness":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _watch(self, cpu: int) -> None:
        os.sched_setaffinity(threading.get_native_id(), {cpu})
        due = now_ns() + EVERY
        timer = timer_fd(due, EVERY)
        if timer is None:
            return
        while not self._ended.is_set():
            select.select([timer], [], [])
            called = now_ns()
            if called - due > LATE:
                self._late.append(Late(due, called))
            due += EVERY * int.from_bytes(os.read(timer, 8), "little")
        os.close(timer)

    def held_up(self, start: int, end: int) -> bool:
        """Was any processor late by more than LATE between `start` and `end`?"""
        return any(one.due < end and one.called > start for one in self._late)
