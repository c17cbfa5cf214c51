"""What a checker sees while the history grows: elements of sets, values of queues, sums, sessions."""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from engine.checkers import shown
from engine.history import Op
from engine.live import Finding, Watcher
from engine.samples import Outcome
from engine.specs import freeze

OK, FAIL, INFO = Outcome
REMEMBERED = 100_000  # writes whose order is known to a watcher of sessions


def finding(kind: str, why: str, *ops: Op, **more: Any) -> Finding:
    key = {} if ops[0].key is None else {"key": ops[0].key}
    return {"kind": kind, **key, **more, "why": why, "operations": [shown(op) for op in ops]}


class Elements(Watcher):
    """An element that was acknowledged before a read began must be in it."""

    def __init__(self) -> None:
        self._added: dict[Any, dict[Any, Op | None]] = {}  # by key and element; None where added again

    def begin(self, op: Op) -> None:
        if op.f == "add":
            added = self._added.setdefault(op.key, {})
            if freeze(op.value) in added:
                added[freeze(op.value)] = None
            else:
                added[freeze(op.value)] = op

    def end(self, op: Op, oldest: int) -> Finding | None:
        if op.f != "read" or op.outcome is not OK or not isinstance(op.result, list):
            return None
        there = set(map(freeze, op.result))
        for element, add in self._added.get(op.key, {}).items():
            if add and add.outcome is OK and (add.completed or 0) < op.invoked and element not in there:
                why = f"{add.value!r} was acknowledged before this read began, which lacks it"
                return finding("stale", why, add, op, element=add.value)
        return None


class Values(Watcher):
    """What comes out of a queue went in, and comes out once."""

    def __init__(self) -> None:
        self._inside: dict[Any, dict[Any, Op]] = {}

    def begin(self, op: Op) -> None:
        if op.f == "enqueue":
            self._inside.setdefault(op.key, {})[freeze(op.value)] = op

    def end(self, op: Op, oldest: int) -> Finding | None:
        inside = self._inside.setdefault(op.key, {})
        if op.f == "enqueue":
            if op.outcome is FAIL and inside.pop(freeze(op.value), None) is None:
                return finding("unexpected", f"{op.value!r} came out, and its enqueue certainly failed", op)
            return None
        if op.outcome is not OK or op.result is None:
            return None
        for value in op.result if op.f == "drain" else [op.result]:
            if inside.pop(freeze(value), None) is None:
                why = f"{value!r} came out, and it had come out before, or nobody has enqueued it"
                return finding("unexpected", why, op, value=value)
        return None


@dataclass
class _Sum:
    up: float = 0  # all that may have been added
    down: float = 0
    certain_up: float = 0  # what had been added before all that is open began
    certain_down: float = 0
    recent: deque[tuple[int, float]] = field(default_factory=deque)  # end and number of other adds


class Sums(Watcher):
    """A read is between the sums of what was certainly and of what was possibly added."""

    def __init__(self) -> None:
        self._sums: dict[Any, _Sum] = {}

    def begin(self, op: Op) -> None:
        one = self._sums.setdefault(op.key, _Sum())
        if op.f == "add" and isinstance(op.value, int | float):
            one.up += max(op.value, 0)
            one.down += min(op.value, 0)

    def end(self, op: Op, oldest: int) -> Finding | None:
        one = self._sums[op.key]
        if op.f == "add" and op.outcome is OK and isinstance(op.value, int | float):
            one.recent.append((op.completed or 0, op.value))
        while one.recent and one.recent[0][0] < min(oldest, op.invoked):
            number = one.recent.popleft()[1]
            one.certain_up += max(number, 0)
            one.certain_down += min(number, 0)
        if op.f != "read" or op.outcome is not OK or not isinstance(op.result, int | float):
            return None
        known = [number for end, number in one.recent if end < op.invoked]
        least = one.certain_up + sum(n for n in known if n > 0) + one.down
        most = one.up + one.certain_down + sum(n for n in known if n < 0)
        if least <= op.result <= most:
            return None
        why = f"{op.result} was read, where only {least:g} to {most:g} was possible"
        return finding("out of bounds", why, op)


class Sessions(Watcher):
    """No client reads an older value than it has read or written before."""

    def __init__(self, read: str, write: str) -> None:
        self._read, self._write = read, write
        self._writes: dict[tuple[Any, Any], Op | None] = {}
        self._newest: dict[tuple[int, Any], tuple[Op, str]] = {}

    def begin(self, op: Op) -> None:
        if op.f == self._read:
            return
        name = (op.key, freeze(op.value)) if op.f == self._write else (op.key, None)
        self._writes[name] = None if name in self._writes or op.f != self._write else op
        if len(self._writes) > REMEMBERED:
            del self._writes[next(iter(self._writes))]

    def end(self, op: Op, oldest: int) -> Finding | None:
        session = (op.process, op.key)
        if op.outcome is INFO:
            self._newest.pop(session, None)  # its client goes on under another number
        if op.outcome is not OK:
            return None
        kind, value = (
            ("read your writes", op.value) if op.f == self._write else ("monotonic reads", op.result)
        )
        write = self._writes.get((op.key, freeze(value)))
        newest = self._newest.get(session)
        if write is None:
            return None
        if (
            newest
            and op.f == self._read
            and write.outcome is OK
            and (write.completed or 0) < newest[0].invoked
        ):
            why = (
                f"{value!r} was read, and {newest[0].value!r}, which is newer, was {newest[1]} by this client"
            )
            known = "read your writes" if newest[1] == "written" else kind
            return finding(known, why, write, newest[0], op)
        if newest is None or write.invoked > newest[0].invoked:
            self._newest[session] = (write, "written" if op.f == self._write else "read")
        return None
