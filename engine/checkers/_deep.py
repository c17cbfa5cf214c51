"""One order after the other is followed, and no position is come to twice (Wing, Gong, Lowe): quick to find one."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any

from engine.checkers._numbered import SLICE, Found, Numbered, Searching, of_each_kind
from engine.columns import NEVER


def deep(steps: Numbered) -> Searching:
    for start in steps.starts:
        found = yield from _deep_from(steps, start)
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

    def window(self, steps: Numbered) -> tuple[list[int], int]:
        """Those of which each may come next, and the end of the first to end."""
        found, limit, i = [], NEVER, self.following[-1]
        while i != -1 and steps.start[i] <= limit:
            found.append(i)
            limit = min(limit, steps.end[i])
            i = self.following[i]
        return [i for i in found if steps.start[i] <= limit], limit


def _deep_from(steps: Numbered, state: int) -> Generator[None, None, list[int] | None]:
    line, used, seen = _Line(steps.sure), set[int](), set[Any]()
    stack: list[_Node] = []
    taken: list[int] = []
    count, latest = 0, -NEVER
    while True:
        count += 1
        if not count % SLICE:
            yield
        dying = min(
            (steps.end[i] for i in steps.ending if i not in used and steps.end[i] >= latest), default=NEVER
        )
        window = _take_looks(steps, line, state, taken, dying)
        if not window[0]:
            return [i for node in stack for i in node.taken] + taken
        key = (state, tuple(window[0]), frozenset(used))
        latest = max([latest, *(steps.start[i] for i in taken)])
        choices = iter(()) if key in seen else iter(_choices(steps, *window, used, latest, dying))
        seen.add(key)
        stack.append(_Node(state, taken, choices, latest))
        while True:
            node = stack[-1]
            chosen = next((i for i in node.choices if steps.step(node.state, i) >= 0), None)
            if chosen is not None:
                break
            for i in reversed(node.taken):
                used.discard(i) if steps.maybe[i] else line.restore(i)
            stack.pop()
            if not stack:
                return None
        state, taken, latest = steps.step(node.state, chosen), [chosen], node.latest
        used.add(chosen) if steps.maybe[chosen] else line.remove(chosen)


def _take_looks(
    steps: Numbered, line: _Line, state: int, taken: list[int], dying: int
) -> tuple[list[int], int]:
    """Looks that are right now are taken at once: they change nothing, so nothing is lost by it.

    Unless one began after `dying`: then a pending step that might come before it could not any more.
    """
    while True:
        window, limit = line.window(steps)
        right = [
            i for i in window if steps.looks[i] and steps.start[i] <= dying and steps.step(state, i) >= 0
        ]
        if not right:
            return window, limit
        for i in right:
            line.remove(i)
            taken.append(i)


def _choices(
    steps: Numbered, window: list[int], limit: int, used: set[int], latest: int, dying: int
) -> list[int]:
    """What may come next, likely ones first."""
    looks = [i for i in window if steps.looks[i] and steps.start[i] > dying]
    free = []
    for i in steps.pending:
        if steps.start[i] > limit:
            break
        if i not in used and steps.end[i] >= latest:
            free.append(i)
    changes = [i for i in window if not steps.looks[i]]
    late = [i for i in [*changes, *free] if steps.start[i] > dying]  # taken now, they are the end of another
    sure = [i for i in changes if steps.start[i] <= dying]
    return [*of_each_kind(steps, sure, [i for i in free if steps.start[i] <= dying]), *late, *looks]
