"""Leases: a toxic ends at its time in the proxy itself, whatever has died by then."""

import time

from engine.proxy.link import Link
from engine.proxy.loop import Loop
from engine.proxy.toxics import Toxic

STEP = 60.0  # seconds after which the wall clock is looked at again: it may have been set


def lease(loop: Loop, link: Link, toxic: Toxic) -> None:
    """Takes `toxic` off `link` when its `until` has passed; it may have been taken off before."""
    until = toxic.until
    if until is None:
        return

    def look() -> None:
        if toxic not in link.toxics():
            return
        left = until - time.time()
        if left <= 0:
            link.remove(toxic)
        else:
            loop.after(min(left, STEP), look)

    look()
