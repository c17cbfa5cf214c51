"""Steps and states as numbers: what both searches go through."""

from collections.abc import Generator, Sequence
from typing import Any, NamedTuple

from engine.columns import NEVER
from engine.replay import Step
from engine.specs import ILLEGAL, Spec, State

SLICE = 256  # nodes that one search goes through before it is the other's turn


class Found(NamedTuple):
    """`possible` is None where the time was over; `failed` is the step at whose end nothing was possible."""

    possible: bool | None
    order: list[int] | None = None
    failed: int | None = None


Searching = Generator[None, None, Found]


class Numbered:
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


def of_each_kind(table: Numbered, sure: list[int], pending: list[int]) -> list[int]:
    """Of the same calls the one that ends first: whatever another could do, it could. A pending one that
    has no end can do no more than a sure one."""
    found, maybe = dict[int, int](), dict[int, int]()
    for i in sorted(sure, key=table.end.__getitem__):
        found.setdefault(table.kind[i], i)
    for i in sorted(pending, key=table.end.__getitem__):
        if table.end[i] != NEVER or table.kind[i] not in found:
            maybe.setdefault(table.kind[i], i)
    return [*found.values(), *maybe.values()]
