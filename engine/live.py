"""Judging while the history grows: what is certain already is told at once, the rest at the end.

Nothing is told that the end could take back: where the whole history can be explained, so can each
beginning of it. What a watcher keeps does not grow with the history, but for what the system itself
must keep.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable
from typing import Any

from engine.columns import NEVER, Columns
from engine.history import History, Op
from engine.pairing import TYPES
from engine.samples import Outcome

OUTCOMES = {name: Outcome(code) for name, code in TYPES.items() if name != "invoke"}
Finding = dict[str, Any]


class Watcher(ABC):
    """Hears of each operation twice. All that began before an operation ended has been told before."""

    @abstractmethod
    def begin(self, op: Op) -> None: ...

    @abstractmethod
    def end(self, op: Op, oldest: int) -> Finding | None:
        """What is certainly wrong now; `oldest` is when the first of those began that may still end ok."""


class Live:
    """Feeds a watcher with events in the order in which they were written."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher: Watcher | None = watcher
        self._of: dict[int, Op] = {}  # what each process has open
        self._open: dict[int, Op] = {}  # by index, in the order in which they began
        self._held: deque[Op] = deque()  # ended at the latest time: one that begins then is concurrent
        self._count, self._now = 0, -NEVER

    def feed(self, events: Iterable[dict[str, Any]]) -> list[Finding]:
        """In Jepsen's shape, as in a file; what came to be certain by them."""
        found: list[Finding] = []
        for event in events:
            if isinstance(event.get("process"), int):
                found += self._take(event)
        return found

    def columns(self, c: Columns) -> list[Finding]:
        """A whole history at once, as it would have come."""
        found: list[Finding] = []
        ops = History(columns=c).ops
        moments = [(op.invoked, 0, i) for i, op in enumerate(ops)]
        moments += [(op.completed, 1, i) for i, op in enumerate(ops) if op.completed is not None]
        begun: dict[int, Op] = {}
        for at, ended, i in sorted(moments):
            found += self._reach(at)
            if ended:
                self._end(begun.pop(i), ops[i])
            else:
                one = ops[i]
                begun[i] = Op(one.index, one.process, one.f, one.value, one.key, at)
                self._begin(begun[i])
        return [*found, *self.close()]

    def close(self) -> list[Finding]:
        """Nothing more will come."""
        return self._reach(NEVER)

    def _take(self, event: dict[str, Any]) -> list[Finding]:
        at, process = event.get("time", self._count), event["process"]
        index = event.get("index", self._count)
        found = self._reach(at)
        f, value = event["f"], event.get("value")
        if event["type"] == "invoke":
            self._of[process] = Op(index, process, f, value, event.get("key"), at)
            self._begin(self._of[process])
        elif process in self._of:
            outcome = OUTCOMES[event["type"]]
            result, error = (value if outcome is Outcome.OK else None), event.get("error") or ""
            self._end(
                self._of.pop(process), Op(0, process, f, None, None, 0, at, outcome, result, error, index)
            )
        self._count += 1
        return found

    def _begin(self, op: Op) -> None:
        self._open[op.index] = op
        if self._watcher:
            self._watcher.begin(op)

    def _end(self, op: Op, as_: Op) -> None:
        op.completed, op.outcome, op.result = as_.completed, as_.outcome, as_.result
        op.error, op.completed_index = as_.error, as_.completed_index
        self._held.append(self._open.pop(op.index))

    def _reach(self, now: int) -> list[Finding]:
        """All that had ended before `now` is told to the watcher."""
        if now < self._now:
            self._watcher = None  # not in the order of time: only the whole can be judged
        self._now = now
        found = []
        while self._held and (self._held[0].completed or 0) < now:
            op = self._held.popleft()
            first = next(iter(self._open.values()), None)
            oldest = min([now, *(one.invoked for one in self._held), *([first.invoked] if first else [])])
            if self._watcher and (finding := self._watcher.end(op, oldest)):
                found.append(finding)
        return found
