"""What a checker sees while the history grows: registers whose written values are unique.

Of each value the zone is kept (see `_zones`): when what wrote it or read it first ended and last began.
Zones only grow, so two that cannot be ordered never will. A value is forgotten when whatever is still to
be read began after a later write had ended: to read it again, or one that nobody wrote, is wrong alike.
"""

import heapq
from dataclasses import dataclass, field
from typing import Any

from engine.checkers import shown
from engine.columns import NEVER
from engine.history import Op
from engine.live import Finding, Watcher
from engine.samples import Outcome
from engine.specs import freeze

UNKNOWN_VALUE = "{0!r} was read, which was overwritten before the read began, or which nobody has written"
CROSSED = "{0!r} and {1!r} cannot have been there one after the other: each was seen after the other one"
FAILED = "{0!r} was read, and its write certainly failed"


@dataclass
class _Zone:
    value: Any
    began: int  # when its write began
    low: int = NEVER  # the first end
    high: int = -NEVER  # the last start
    ops: list[Op] = field(default_factory=list)  # the write, the first read to end, the last to begin

    def grow(self, op: Op) -> None:
        end = op.completed or 0
        if end < self.low or op.invoked > self.high:
            self.ops = [*self.ops[:2], op]
        self.low, self.high = min(self.low, end), max(self.high, op.invoked)


@dataclass
class _Object:
    zones: dict[Any, _Zone] = field(default_factory=lambda: {None: _Zone(None, -NEVER, -NEVER)})
    ended: list[tuple[int, int, int]] = field(default_factory=list)  # of writes: end, index, start
    writes: dict[int, Op] = field(default_factory=dict)
    past: int = -NEVER  # what had ended before this can be read no more
    by: Op | None = None  # the write that began then


class Registers(Watcher):
    """`read` and `write` are what the operations are called; an object with any other is not watched."""

    def __init__(self, read: str, write: str) -> None:
        self._read, self._write = read, write
        self._objects: dict[Any, _Object | None] = {}

    def begin(self, op: Op) -> None:
        one = self._objects.setdefault(op.key, _Object())
        if one is None or op.f == self._read:
            return
        plain = op.f == self._write and op.value is not None and not isinstance(op.value, list | dict)
        if not plain or freeze(op.value) in one.zones:
            self._objects[op.key] = None
            return
        one.zones[freeze(op.value)] = _Zone(op.value, op.invoked, ops=[op])

    def end(self, op: Op, oldest: int) -> Finding | None:
        one = self._objects[op.key]
        if one is None or op.outcome is Outcome.INFO:
            return None
        found = self._ended(one, op)
        self._forget(one, oldest)
        return found

    def _ended(self, one: _Object, op: Op) -> Finding | None:
        name = freeze(op.value if op.f == self._write else op.result)
        zone = one.zones.get(name)
        if op.outcome is Outcome.FAIL:
            if op.f == self._write and zone:
                del one.zones[name]
                return _finding(FAILED.format(op.value), zone.ops) if zone.low < NEVER else None
            return None
        if zone is None:
            return _finding(UNKNOWN_VALUE.format(op.result), [*([one.by] if one.by else []), op])
        zone.grow(op)
        if op.f == self._write:
            heapq.heappush(one.ended, (op.completed or 0, op.index, op.invoked))
            one.writes[op.index] = op
        for other in one.zones.values():
            if other is not zone and other.low < zone.high and zone.low < other.high:
                return _finding(CROSSED.format(other.value, zone.value), [*other.ops, *zone.ops])
        return None

    def _forget(self, one: _Object, oldest: int) -> None:
        before = one.past
        while one.ended and one.ended[0][0] < oldest:
            _, index, start = heapq.heappop(one.ended)
            write = one.writes.pop(index)
            if start > one.past:
                one.past, one.by = start, write
        if one.past > before:
            one.zones = {name: zone for name, zone in one.zones.items() if zone.low >= one.past}


def _finding(why: str, ops: list[Op]) -> Finding:
    ops = sorted({op.index: op for op in ops}.values(), key=lambda op: op.invoked)
    key = {} if ops[0].key is None else {"key": ops[0].key}
    return {"kind": "not linearizable", **key, "why": why, "operations": [shown(op) for op in ops]}
