"""Registers as columns: what each operation wrote, and the keys whose values do not tell which of them was read."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.columns import NEVER, NONE, Columns, Ints
from engine.samples import Outcome

MOST = 1 << 62
Bools = NDArray[np.bool_]


class Words(NamedTuple):
    """What the operations are called."""

    read: str
    write: str
    cas: str = ""


class Registers(NamedTuple):
    """By row of the history, but for `rows` and `hard`."""

    read: Bools  # is it a read that was answered?
    rows: Ints  # the writes and cas that may have happened
    new: Ints  # the code of what it wrote, -1 where it wrote nothing
    old: Ints  # the code of what a cas asks for, -1 where it is none
    hard: Bools  # by code of the key: is it unclear which write was read, or does more count than that?


def registers(c: Columns, words: Words) -> Registers:
    read = c.named(words.read) & (c.outcome == Outcome.OK)
    write = c.named(words.write) & (c.outcome != Outcome.FAIL)
    cas = c.named(words.cas) if words.cas else np.zeros(len(c), bool)
    change = write | (cas & (c.outcome != Outcome.FAIL))
    new, old = _written(c, write, cas & change)
    rows = np.flatnonzero(change)
    return Registers(read, rows, new, old, _hard(c, words, read, cas, new, rows))


def times(c: Columns, blocks: int) -> tuple[Ints, Ints, int]:
    """Starts and ends as small numbers, so that an end is before a start only if its time is smaller."""
    ends = (c.outcome == Outcome.OK) & (c.completed != NEVER)
    if not len(c):
        return c.invoked, c.completed, 4
    first = int(c.invoked.min())
    last = int(max(c.invoked.max(), np.where(ends, c.completed, first).max()))
    started, ended = c.invoked - first, np.where(ends, c.completed, last + 1) - first
    span = last - first + 1
    if span * 2 + 6 > MOST // (len(c.keys) + blocks + 1):
        ranks = np.unique(np.concatenate([started, ended]), return_inverse=True)[1].ravel()
        started, ended, span = ranks[: len(c)], ranks[len(c) :], int(ranks.max()) + 1
    return 2 * started + 2, 2 * ended + 3, 2 * span + 6


def _written(c: Columns, write: Bools, cas: Bools) -> tuple[Ints, Ints]:
    """The codes of what each row wrote, and of the old value of each cas; -1 where there is none."""
    new, old = np.where(write, c.value, -1), np.full(len(c), -1, np.int64)
    for row in np.flatnonzero(cas):
        old[row], new[row] = map(c.values.code, c.values.values[c.value[row]])
    return new, old


def _hard(c: Columns, words: Words, read: Bools, cas: Bools, new: Ints, rows: Ints) -> Bools:
    """By key: has it a history that the algorithm is not about?"""
    found = np.zeros(len(c.keys), bool)
    if others := c.names() - {*words}:
        found[c.key[c.named(*others) & (c.outcome != Outcome.FAIL)]] = True
    if c.values.opaque:  # lists and objects have no code that tells which are equal
        opaque = np.zeros(len(c.values), bool)
        opaque[c.values.opaque] = True
        found[c.key[read & opaque[c.result]]] = True
        found[c.key[rows[opaque[new[rows]]]]] = True
    found[c.key[rows[new[rows] == NONE]]] = True
    found[c.key[cas & (c.outcome == Outcome.FAIL) & (c.error == c.errors.known("mismatch"))]] = True
    if len(rows) and np.bincount(new[rows]).max() > 1:  # a value is written twice
        pairs = c.key[rows] * len(c.values) + new[rows]
        order = np.argsort(pairs, kind="stable")
        again = pairs[order][1:] == pairs[order][:-1]
        found[c.key[rows[order[1:][again]]]] = True
    return found
