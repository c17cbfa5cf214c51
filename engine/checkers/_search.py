"""Is there an order in which all this can have happened? Two searches side by side; whichever ends first tells."""

import time
from collections.abc import Sequence

from engine.checkers._deep import deep
from engine.checkers._numbered import Found, Numbered
from engine.checkers._wide import wide
from engine.replay import Step
from engine.specs import Spec, State


def search(
    spec: Spec, steps: Sequence[Step], deadline: float, starts: Sequence[State] | None = None
) -> Found:
    """`deadline` in time.monotonic(); `starts` are the states it may have begun in."""
    table = Numbered(spec, steps, [spec.initial] if starts is None else starts)
    running = [deep(table), wide(table)]
    while running:
        for one in list(running):
            try:
                next(one)
            except StopIteration as ended:
                found: Found = ended.value
                if found.possible is not None:
                    return found
                running.remove(one)
        if time.monotonic() > deadline:
            break
    return Found(None)


def first_failure(spec: Spec, steps: Sequence[Step], deadline: float) -> int | None:
    """Of steps that cannot be ordered: the one at whose end it was first so; None where the time was over."""
    running = wide(Numbered(spec, steps, [spec.initial]))
    while time.monotonic() < deadline:
        try:
            next(running)
        except StopIteration as ended:
            found: Found = ended.value
            return found.failed
    return None
