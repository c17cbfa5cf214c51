"""The board's processes: started with its mark, told apart from those of a demo system, and stopped."""

from contextlib import suppress

import psutil

from engine.owned import alive, launch, marked, stop
from engine.state import PART

__all__ = ["alive", "launch", "marked", "part", "stop"]


def part(process: psutil.Process) -> str:
    """The board's part that the process belongs to, or "" for a process of a demo system."""
    with suppress(psutil.Error):
        return process.environ().get(PART, "")
    return ""
