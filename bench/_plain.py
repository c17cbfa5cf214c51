"""The peer of the bench: Wing, Gong and Lowe's search with a memo, in plain Python, one object at a time."""

import time
from collections.abc import Sequence

from engine.replay import Step
from engine.specs import ILLEGAL, Spec


def _limit(order: Sequence[Step], done: int, first: int) -> int | None:
    """The end of the first of what is left to end; None where all that is left may not have happened."""
    limit = None
    for i in range(first, len(order)):
        if limit is not None and order[i].start > limit:
            break
        if not done >> i & 1 and not order[i].maybe and (limit is None or order[i].end < limit):
            limit = order[i].end
    return limit


def linearizable(spec: Spec, steps: Sequence[Step], seconds: float) -> bool | None:
    """None where the time was over."""
    end = time.monotonic() + seconds
    order = sorted(steps, key=lambda step: step.start)
    state, done, seen = spec.initial, 0, set()
    stack: list[tuple[int, object]] = []
    position = 0
    while True:
        if time.monotonic() > end:
            return None
        first = (~done & (done + 1)).bit_length() - 1
        limit = _limit(order, done, first)
        if limit is None:
            return True
        position = max(position, first)
        while position < len(order) and order[position].start <= limit:
            bit = 1 << position
            if not done & bit:
                after = spec.step(state, order[position].call)
                if after is not ILLEGAL and (done | bit, after) not in seen:
                    seen.add((done | bit, after))
                    stack.append((position, state))
                    state, done, position = after, done | bit, 0
                    break
            position += 1
        else:
            if not stack:
                return False
            position, state = stack.pop()
            done &= ~(1 << position)
            position += 1
