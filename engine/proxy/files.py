"""How many files the proxy may have open: those who give orders must always get in."""

import contextlib
import resource

WANTED = 1 << 20
SPARE = 24  # for listeners, and for those who give orders
PAUSE = 0.1  # seconds until it is tried again where there was no room

_limit, _taken = 1024, 0


def raise_limit() -> None:
    """As far as this user may."""
    global _limit
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for most in (WANTED, hard):
        if soft < most:
            with contextlib.suppress(OSError, ValueError):
                resource.setrlimit(resource.RLIMIT_NOFILE, (most, max(most, hard)))
                break
    _limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def take(count: int) -> bool:
    """Sets `count` files aside; False where there is no room for them."""
    global _taken
    if _taken + count > _limit - SPARE:
        return False
    _taken += count
    return True


def give_back(count: int) -> None:
    global _taken
    _taken -= count
