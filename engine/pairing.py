"""Events in their order -> operations as columns; what cannot be is BadInput with its line."""

from dataclasses import dataclass
from typing import NoReturn

import numpy as np

from engine.columns import NEVER, NONE, Columns, Ints, Table
from engine.errors import BadInput, Problem
from engine.samples import Outcome

INVOKE = -1
TYPES = {"invoke": INVOKE, "ok": int(Outcome.OK), "fail": int(Outcome.FAIL), "info": int(Outcome.INFO)}


@dataclass(frozen=True)
class Events:
    """The events of the clients as columns; `type` as in TYPES, `line` counted from 1."""

    line: Ints
    index: Ints
    time: Ints
    process: Ints
    type: Ints
    f: Ints
    key: Ints
    value: Ints
    error: Ints
    version: Ints  # -1 where there is none
    node: Ints
    fs: Table
    keys: Table
    values: Table
    errors: Table
    nodes: Table


def bad(line: int, message: str) -> NoReturn:
    raise BadInput([Problem("history", message, int(line))])


def is_same(column: Ints) -> bool:
    """Is it one number, repeated without being stored again?"""
    return len(column) > 0 and column.strides == (0,)


def pair(events: Events) -> Columns:
    """Raises BadInput naming the first line at which a process does what it cannot."""
    order = np.argsort(events.process, kind="stable")
    process, kind, time = events.process[order], events.type[order], events.time[order]
    first = np.ones(len(order), bool)
    first[1:] = process[1:] != process[:-1]
    _refuse_impossible(events, order, first)
    begun = kind == INVOKE
    ended = np.zeros(len(order), bool)  # the row is an invocation, and the next row is its end
    ended[:-1] = begun[:-1] & ~first[1:]
    call, end = order[begun], np.full(int(begun.sum()), -1, np.int64)
    end[ended[begun]] = order[1:][ended[:-1]]
    del process, kind, time
    back = np.argsort(call, kind="stable")
    return _columns(events, call[back], end[back])


def _refuse_impossible(events: Events, order: Ints, first: "np.ndarray") -> None:
    """Each process must alternate: invoke, end, invoke, end; nothing after info; never back in time."""
    process, kind, time = events.process[order], events.type[order], events.time[order]
    begun = kind == INVOKE
    after_begun = np.zeros(len(order), bool)
    after_begun[1:] = begun[:-1] & ~first[1:]
    twice, unbegun = begun & after_begun, ~begun & ~after_begun
    gone, back, other = np.zeros((3, len(order)), bool)
    gone[1:] = (kind[:-1] == Outcome.INFO) & ~first[1:]
    back[1:] = (time[1:] < time[:-1]) & ~first[1:]
    other[1:] = (events.f[order][1:] != events.f[order][:-1]) & ~begun[1:] & after_begun[1:]
    wrong = twice | unbegun | gone | back | other
    if not wrong.any():
        return
    places = np.flatnonzero(wrong)
    at = places[np.argmin(order[places])]
    line, name = int(events.line[order[at]]), int(process[at])
    if gone[at]:
        bad(line, f"process {name} acts after an info: its client must go on under a new process number")
    if twice[at]:
        bad(line, f"process {name} has an operation open already; end it with ok, fail or info first")
    if unbegun[at]:
        bad(line, f"process {name} ends an operation that it never began; its invoke is missing")
    if other[at]:
        names = [events.fs.values[events.f[order[i]]] for i in (at - 1, at)]
        bad(line, f"process {name} began {names[0]!r} and ends {names[1]!r}; both must have the same f")
    bad(line, f"the time of process {name} runs backwards; times must be of one monotonic clock")


def _columns(events: Events, call: Ints, end: Ints) -> Columns:
    there = end >= 0

    def at_end(column: Ints, otherwise: int) -> Ints:
        if is_same(column) and column[0] == otherwise == NONE:
            return np.zeros(len(call), np.int64)
        found = np.full(len(call), otherwise, np.int64)
        found[there] = column[end[there]]
        return found

    outcome = at_end(events.type, int(Outcome.INFO))
    result = at_end(events.value, NONE)
    result[outcome != Outcome.OK] = NONE
    version = None if is_same(events.version) else at_end(events.version, -1)
    if version is not None:
        version[outcome != Outcome.OK] = -1
    asked = None if is_same(events.node) else events.node[call]
    node = None if asked is None else np.where(asked == NONE, at_end(events.node, NONE), asked)
    return Columns(
        events.index[call], events.process[call], events.f[call], events.key[call], events.value[call],
        result, events.time[call], at_end(events.time, NEVER), at_end(events.index, -1),
        outcome.astype(np.int8), at_end(events.error, NONE),
        events.fs, events.keys, events.values, events.errors,
        version if version is not None and (version >= 0).any() else None,
        node if node is not None and node.any() else None, events.nodes,
    )  # fmt: skip
