"""Waiting for what happens in another process: polled, with a deadline."""

import time
from collections.abc import Callable


def wait_for(true: Callable[[], object], seconds: float = 15.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"it did not come true in {seconds} s"
        time.sleep(0.01)  # the step of the poll
