"""Waiting for something to come true, with a deadline, instead of for a time to pass."""

import asyncio
import time
from collections.abc import Callable


def until(condition: Callable[[], object], timeout: float = 30.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"did not come true within {timeout} s"
        time.sleep(0.02)  # between two looks


async def until_async(condition: Callable[[], object], timeout: float = 30.0) -> None:
    """As `until`, while other tasks go on."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"did not come true within {timeout} s"
        await asyncio.sleep(0.02)  # between two looks
