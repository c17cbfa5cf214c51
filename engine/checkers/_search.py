"""Is there an order in which all this can have happened? Two searches side by side; whichever ends first tells.

`_deep` follows one order after the other and remembers where it has been (Wing, Gong, Lowe): quick to find
an order. `_wide` goes through the events and keeps every state that is still possible (just-in-time
linearization, Lowe): quick to find that there is none, and where.
"""

import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from engine.columns import NEVER
from engine.replay import Step
from engine.specs import ILLEGAL, Spec, State

SLICE = 256  # nodes that one search goes through before it is the other's turn
MOST_CONFIGURATIONS = 1_000_000
Link = tuple[int, Any] | None  # the steps of an order, the last one first
_Key = tuple[int, int, int]  # a configuration: state, sure steps, pending steps


class Found(NamedTuple):
    """`possible` is None where the time was over; `failed` is the step at whose end nothing was possible."""

    possible: bool | None
    order: list[int] | None = None
    failed: int | None = None


Searching = Generator[None, None, Found]


def search(
    spec: Spec, steps: Sequence[Step], deadline: float, starts: Sequence[State] | None = None
) -> Found:
    """`deadline` in time.monotonic(); `starts` are the states it may have begun in."""
    table = _Table(spec, steps, [spec.initial] if starts is None else starts)
    running = [_deep(table), _wide(table)]
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
    running = _wide(_Table(spec, steps, [spec.initial]))
    while time.monotonic() < deadline:
        try:
            next(running)
        except StopIteration as ended:
            found: Found = ended.value
            return found.failed
    return None


class _Table:
    """Steps and states as numbers: the sure ones, and those that maybe did not happen, by their start."""

    def __init__(self, spec: Spec, steps: Sequence[Step], starts: Sequence[State]) -> None:
        self.steps, self._spec = steps, spec
        order = sorted(range(len(steps)), key=lambda i: steps[i].start)
        self.maybe = [s.maybe for s in steps]
        self.sure = [i for i in order if not self.maybe[i]]
        self.pending = [i for i in order if self.maybe[i] and not spec.looks(steps[i].call)]
        self.ending = [i for i in self.pending if steps[i].end != NEVER]
        self.start, self.end = [s.start for s in steps], [s.end for s in steps]
        classes: dict[Any, int] = {}
        self.kind = [classes.setdefault(s.call, len(classes)) for s in steps]
        self._calls = list(classes)
        self._looks = [spec.looks(call) for call in self._calls]
        self.looks = [self._looks[kind] for kind in self.kind]
        self._states: list[State] = []
        self._numbers: dict[State, int] = {}
        self._after: list[dict[int, int]] = [{} for _ in self._calls]
        self.starts = [self._number(state) for state in starts]

    def step(self, state: int, i: int) -> int:
        """The number of the state after step `i`, or -1."""
        kind = self.kind[i]
        after = self._after[kind].get(state)
        if after is None:
            found = self._spec.step(self._states[state], self._calls[kind])
            after = self._after[kind][state] = -1 if found is ILLEGAL else self._number(found)
        return after

    def _number(self, state: State) -> int:
        if state not in self._numbers:
            self._numbers[state] = len(self._states)
            self._states.append(state)
        return self._numbers[state]


def _unlinked(link: Link) -> list[int]:
    order = []
    while link is not None:
        order.append(link[0])
        link = link[1]
    return order[::-1]


# One order after the other


def _deep(table: _Table) -> Searching:
    for start in table.starts:
        found = yield from _deep_from(table, start)
        if found is not None:
            return Found(True, found)
    return Found(False)


@dataclass
class _Node:
    state: int
    taken: list[int]  # what led here: a step, and the looks that came of themselves
    choices: Iterator[int]
    latest: int  # of what is in the order, when the last began


class _Line:
    """The steps with an end that are not yet in the order, by their start, as a linked list."""

    def __init__(self, sure: list[int]) -> None:
        self.following = dict(zip([-1, *sure], [*sure, -1], strict=True))
        self.before = {b: a for a, b in self.following.items()}

    def remove(self, i: int) -> None:
        before, following = self.before[i], self.following[i]
        self.following[before], self.before[following] = following, before

    def restore(self, i: int) -> None:
        self.following[self.before[i]] = self.before[self.following[i]] = i

    def window(self, table: _Table) -> tuple[list[int], int]:
        """Those of which each may come next, and the end of the first to end."""
        found, limit, i = [], NEVER, self.following[-1]
        while i != -1 and table.start[i] <= limit:
            found.append(i)
            limit = min(limit, table.end[i])
            i = self.following[i]
        return [i for i in found if table.start[i] <= limit], limit


def _deep_from(table: _Table, state: int) -> Generator[None, None, list[int] | None]:
    line, used, seen = _Line(table.sure), set[int](), set[Any]()
    stack: list[_Node] = []
    taken: list[int] = []
    count, latest = 0, -NEVER
    while True:
        count += 1
        if not count % SLICE:
            yield
        dying = min(
            (table.end[i] for i in table.ending if i not in used and table.end[i] >= latest), default=NEVER
        )
        window = _take_looks(table, line, state, taken, dying)
        if not window[0]:
            return [i for node in stack for i in node.taken] + taken
        key = (state, tuple(window[0]), frozenset(used))
        latest = max([latest, *(table.start[i] for i in taken)])
        choices = iter(()) if key in seen else iter(_choices(table, *window, used, latest, dying))
        seen.add(key)
        stack.append(_Node(state, taken, choices, latest))
        while True:
            node = stack[-1]
            chosen = next((i for i in node.choices if table.step(node.state, i) >= 0), None)
            if chosen is not None:
                break
            for i in reversed(node.taken):
                used.discard(i) if table.maybe[i] else line.restore(i)
            stack.pop()
            if not stack:
                return None
        state, taken, latest = table.step(node.state, chosen), [chosen], node.latest
        used.add(chosen) if table.maybe[chosen] else line.remove(chosen)


def _take_looks(
    table: _Table, line: _Line, state: int, taken: list[int], dying: int
) -> tuple[list[int], int]:
    """Looks that are right now are taken at once: they change nothing, so nothing is lost by it.

    Unless one began after `dying`: then a pending step that might come before it could not any more.
    """
    while True:
        window, limit = line.window(table)
        right = [
            i for i in window if table.looks[i] and table.start[i] <= dying and table.step(state, i) >= 0
        ]
        if not right:
            return window, limit
        for i in right:
            line.remove(i)
            taken.append(i)


def _choices(
    table: _Table, window: list[int], limit: int, used: set[int], latest: int, dying: int
) -> list[int]:
    """What may come next, likely ones first."""
    looks = [i for i in window if table.looks[i] and table.start[i] > dying]
    free = []
    for i in table.pending:
        if table.start[i] > limit:
            break
        if i not in used and table.end[i] >= latest:
            free.append(i)
    changes = [i for i in window if not table.looks[i]]
    late = [i for i in [*changes, *free] if table.start[i] > dying]  # taken now, they are the end of another
    sure = [i for i in changes if table.start[i] <= dying]
    return [*_of_each_kind(table, sure, [i for i in free if table.start[i] <= dying]), *late, *looks]


def _of_each_kind(table: _Table, sure: list[int], pending: list[int]) -> list[int]:
    """Of the same calls the one that ends first: whatever another could do, it could. A pending one that
    has no end can do no more than a sure one."""
    found, maybe = dict[int, int](), dict[int, int]()
    for i in sorted(sure, key=table.end.__getitem__):
        found.setdefault(table.kind[i], i)
    for i in sorted(pending, key=table.end.__getitem__):
        if table.end[i] != NEVER or table.kind[i] not in found:
            maybe.setdefault(table.kind[i], i)
    return [*found.values(), *maybe.values()]


# All states that are possible


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


def _wide(table: _Table) -> Searching:
    """A configuration is a state and which open steps are in the order already: sure ones, pending ones."""
    configurations: dict[_Key, Link] = {(s, 0, 0): None for s in table.starts}
    sure, pending = _Open(), _Open()
    for number, i in enumerate(_events(table)):
        if not number % SLICE:
            yield
        if i >= 0:
            (pending if table.maybe[i] else sure).add(i)
            continue
        ending = ~i
        after: dict[_Key, Link] = {}
        yield from _ended(table, sure, pending, configurations, ending, after)
        if table.maybe[ending]:
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


def _events(table: _Table) -> list[int]:
    """`i` where a step begins and `~i` where it ends, by time; at equal times all begin before any ends."""
    steps = [*table.sure, *table.pending]
    found = [(table.start[i], 0, i) for i in steps]
    found += [(table.end[i], 1, ~i) for i in steps if table.end[i] != NEVER]
    return [i for _, _, i in sorted(found)]


def _ended(
    table: _Table, sure: _Open, pending: _Open, configurations: dict[_Key, Link], ending: int,
    after: dict[_Key, Link],
) -> Generator[None, None, None]:  # fmt: skip
    """Fills `after` with each configuration in which `ending` is in the order, and no more than it takes."""
    bits = {**sure.bit, **pending.bit}
    looks = [i for i in sure.bit if table.looks[i]]
    changes = [i for i in sure.bit if not table.looks[i]]
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
            if not mask & bits[i] and table.step(state, i) >= 0:
                mask, link = mask | bits[i], (i, link)
        if (used if table.maybe[ending] else mask) & done:
            after.setdefault((state, mask, used), link)
            continue
        if (state, mask, used) in seen:
            continue
        seen.add((state, mask, used))
        free = [i for i in pending.bit if not used & bits[i]]
        for i in _of_each_kind(table, [i for i in changes if not mask & bits[i]], free):
            next_state = table.step(state, i)
            if next_state < 0:
                continue
            next_mask, next_used = (mask, used | bits[i]) if table.maybe[i] else (mask | bits[i], used)
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
