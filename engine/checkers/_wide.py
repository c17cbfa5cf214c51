"""Every state that is still possible is kept, event after event (just-in-time linearization, Lowe).

Quick to find that there is no order, and where.
"""

from collections.abc import Generator
from typing import Any

from engine.checkers._numbered import SLICE, Found, Numbered, Searching, of_each_kind
from engine.columns import NEVER

MOST_CONFIGURATIONS = 1_000_000
EVENTS = 16 * SLICE  # most events need a node or two, so that it may well be done before the other has begun
Link = tuple[int, Any] | None  # the steps of an order, the last one first
_Key = tuple[int, int, int]  # a configuration: state, sure steps, pending steps


class _Open:
    """The steps that have begun and not ended, each with a bit of its own."""

    def __init__(self) -> None:
        self.bit: dict[int, int] = {}
        self._free: list[int] = []

    def add(self, i: int) -> None:
        self.bit[i] = self._free.pop() if self._free else 1 << len(self.bit)

    def remove(self, i: int) -> int:
        bit = self.bit.pop(i)
        self._free.append(bit)
        return bit


def wide(steps: Numbered) -> Searching:
    """A configuration is a state and which open steps are in the order already: sure ones, pending ones."""
    configurations: dict[_Key, Link] = {(s, 0, 0): None for s in steps.starts}
    sure, pending = _Open(), _Open()
    for number, i in enumerate(_events(steps)):
        if number % EVENTS == EVENTS - 1:
            yield
        if i >= 0:
            (pending if steps.maybe[i] else sure).add(i)
            continue
        ending = ~i
        after: dict[_Key, Link] = {}
        yield from _ended(steps, sure, pending, configurations, ending, after)
        if steps.maybe[ending]:
            after.update(configurations)
            bit = pending.remove(ending)
            configurations = {(s, mask, used & ~bit): link for (s, mask, used), link in after.items()}
        else:
            if not after:
                return Found(False, failed=ending)
            bit = sure.remove(ending)
            configurations = {(s, mask & ~bit, used): link for (s, mask, used), link in after.items()}
        if len(configurations) > MOST_CONFIGURATIONS:
            return Found(None)
        if len(configurations) > 1 and pending.bit:
            configurations = _undominated(configurations)
    return Found(True, _unlinked(next(iter(configurations.values()))))


def _events(steps: Numbered) -> list[int]:
    """`i` where a step begins and `~i` where it ends, by time; at equal times all begin before any ends."""
    found = [(steps.start[i], 0, i) for i in (*steps.sure, *steps.pending)]
    found += [(steps.end[i], 1, ~i) for _, _, i in found if steps.end[i] != NEVER]
    return [i for _, _, i in sorted(found)]


def _ended(
    steps: Numbered, sure: _Open, pending: _Open, configurations: dict[_Key, Link], ending: int,
    after: dict[_Key, Link],
) -> Generator[None, None, None]:  # fmt: skip
    """Fills `after` with each configuration in which `ending` is in the order, and no more than it takes."""
    bits = {**sure.bit, **pending.bit}
    looks = [i for i in sure.bit if steps.looks[i]]
    changes = [i for i in sure.bit if not steps.looks[i]]
    done = bits[ending]
    seen: set[_Key] = set()
    todo = list(configurations.items())
    count = 0
    while todo:
        count += 1
        if not count % SLICE:
            yield
            if len(seen) > MOST_CONFIGURATIONS:
                after.clear()
                return
        (state, mask, used), link = todo.pop()
        for i in looks:
            if not mask & bits[i] and steps.step(state, i) >= 0:
                mask, link = mask | bits[i], (i, link)
        if (used if steps.maybe[ending] else mask) & done:
            after.setdefault((state, mask, used), link)
            continue
        if (state, mask, used) in seen:
            continue
        seen.add((state, mask, used))
        free = [i for i in pending.bit if not used & bits[i]]
        for i in of_each_kind(steps, [i for i in changes if not mask & bits[i]], free):
            next_state = steps.step(state, i)
            if next_state < 0:
                continue
            next_mask, next_used = (mask, used | bits[i]) if steps.maybe[i] else (mask | bits[i], used)
            todo.append(((next_state, next_mask, next_used), (i, link)))


def _undominated(configurations: dict[_Key, Link]) -> dict[_Key, Link]:
    """Of those that differ in pending steps only, the ones that have used the fewest."""
    kept: dict[tuple[int, int], list[int]] = {}
    found = {}
    for (state, mask, used), link in sorted(configurations.items(), key=lambda c: c[0][2].bit_count()):
        rivals = kept.setdefault((state, mask), [])
        if not any(rival & used == rival for rival in rivals):
            rivals.append(used)
            found[(state, mask, used)] = link
    return found


def _unlinked(link: Link) -> list[int]:
    order = []
    while link is not None:
        order.append(link[0])
        link = link[1]
    return order[::-1]
