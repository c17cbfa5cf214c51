"""What people ask of a run while it goes on: a note at a moment, or more time for a fault or for the recovery.

Whoever performs a run hands in `orders`, which gives those that came since it was last asked. What becomes
of an order is told as an event; one that is refused is told in words too.
"""

from collections.abc import Callable
from dataclasses import dataclass

RECOVERY = "recovery"
LONGEST = 600.0  # seconds by which one run may be made longer, all in all
LONGEST_NOTE = 1000  # characters


@dataclass(frozen=True)
class Note:
    """`at` is the moment that it is about, in seconds since the baseline began; None is now."""

    by: str
    text: str
    at: float | None = None


@dataclass(frozen=True)
class Extension:
    """`what` is the id of a time that a step hurts, such as `f0`, or `recovery`."""

    by: str
    what: str
    seconds: float


Order = Note | Extension
Orders = Callable[[], list[Order]]


def none() -> list[Order]:
    """Nobody asks for anything."""
    return []
