"""Is there an order of all steps in which each process has its own one after the other? Time does not count.

One order after the other is followed, and a position is not come to twice. A look that is right is taken at
once: it changes nothing, and it can be no righter later.
"""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from engine.checkers._numbered import Found
from engine.replay import Step
from engine.specs import ILLEGAL, Spec, State

SLICE = 256  # nodes between two looks at the clock
MOST_KNOWN = 1_000_000  # positions that are remembered


def interleaving(spec: Spec, steps: Sequence[Step], deadline: float, unique: bool = False) -> Found:
    """`steps` of each process in their order, `deadline` in time.monotonic(); `unique` says that no register
    ever holds a value again, so that one is only overwritten when all that read it have done so."""
    walk = _Walk(spec, steps, unique)
    dead: set[object] = set()
    stack = [_Node(walk.settle(), walk.choices())]
    count = 0
    while walk.left:
        count += 1
        if not count % SLICE and (time.monotonic() > deadline or len(dead) > MOST_KNOWN):
            return Found(None)
        node = stack[-1]
        chosen = next((i for i in node.choices if walk.can(i)), None)
        if chosen is None:
            dead.add(walk.position())
            walk.undo(node.taken)
            stack.pop()
            if not stack:
                return Found(False)
            continue
        taken = [walk.take(chosen), *walk.settle()]
        known = bool(dead) and walk.position() in dead
        stack.append(_Node(taken, iter(()) if known else walk.choices()))
    return Found(True, [i for node in stack for i, _ in node.taken])


Taken = tuple[int, State]  # a step, and the state that it found


@dataclass
class _Node:
    taken: list[Taken]
    choices: Iterator[int]


@dataclass
class _Line:
    """The steps of one process that certainly happened."""

    steps: list[int] = field(default_factory=list)
    at: int = 0

    @property
    def next(self) -> int:
        return self.steps[self.at] if self.at < len(self.steps) else -1


class _Walk:
    def __init__(self, spec: Spec, steps: Sequence[Step], unique: bool) -> None:
        self._spec, self._steps = spec, steps
        self._lines: dict[int, _Line] = {}
        self._pending: dict[int, tuple[_Line, int]] = {}  # what may have happened, and when its turn is
        self._line_of: dict[int, _Line] = {}
        for i, step in enumerate(steps):
            line = self._lines.setdefault(step.op.process, _Line())
            if step.maybe:
                self._pending[i] = line, len(line.steps)
            else:
                self._line_of[i] = line
                line.steps.append(i)
        self.left = len(self._line_of)
        self._key = [step.op.key if spec.keyed else None for step in steps]
        self._states: dict[object, State] = {}
        self._used: set[int] = set()
        self._looks = [spec.looks(step.call) for step in steps]
        self._asks = [self._asked(step) if unique else None for step in steps]
        self._readers = Counter((self._key[i], asked[0]) for i, asked in enumerate(self._asks) if asked)

    def _asked(self, step: Step) -> tuple[State] | None:
        """The value of a register that it must find."""
        f, value = step.call[:2]
        return None if step.maybe or f in ("write", "put") else (value,)

    def _state(self, i: int) -> State:
        return self._states.get(self._key[i], self._spec.initial)

    def can(self, i: int) -> bool:
        state = self._state(i)
        if not self._looks[i] and self._readers:
            others = self._readers[self._key[i], state] - (self._asks[i] == (state,))
            if others > 0:
                return False
        return self._spec.step(state, self._steps[i].call) is not ILLEGAL

    def take(self, i: int) -> Taken:
        """What `can` be taken."""
        state = self._state(i)
        after = self._spec.step(state, self._steps[i].call)
        assert after is not ILLEGAL
        self._states[self._key[i]] = after
        self._counted(i, 1)
        return i, state

    def _counted(self, i: int, by: int) -> None:
        if i in self._pending:
            self._used ^= {i}
            return
        self._line_of[i].at += by
        self.left -= by
        if asked := self._asks[i]:
            self._readers[self._key[i], asked[0]] -= by

    def undo(self, taken: list[Taken]) -> None:
        for i, state in reversed(taken):
            self._states[self._key[i]] = state
            self._counted(i, -1)

    def settle(self) -> list[Taken]:
        """Takes all looks that are right now."""
        taken: list[Taken] = []
        for line in self._lines.values():
            while (i := line.next) >= 0 and self._looks[i] and self.can(i):
                taken.append(self.take(i))
        return taken

    def choices(self) -> Iterator[int]:
        """What may come next and changes something: what ended first is tried first.

        Of pending ones that do the same, one: whatever another could do, it could.
        """
        found = [i for line in self._lines.values() if (i := line.next) >= 0 and not self._looks[i]]
        found.sort(key=lambda i: self._steps[i].end)
        pending: dict[object, int] = {}
        for i, (line, at) in self._pending.items():
            if i not in self._used and line.at >= at:
                pending.setdefault((self._key[i], self._steps[i].call), i)
        return iter([*found, *pending.values()])

    def position(self) -> object:
        """What may still come depends on nothing else."""
        lines = tuple(line.at for line in self._lines.values())
        states = {key: state for key, state in self._states.items() if state != self._spec.initial}
        return lines, frozenset(self._used), frozenset(states.items())
