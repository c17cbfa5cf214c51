"""Transactions as columns: one row a transaction, one row a step of one, one row an element that was read."""

from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.collecting import paused
from engine.columns import NEVER, Columns, Ints, Table
from engine.history import History
from engine.samples import Outcome
from engine.txn import micros

Bools = NDArray[np.bool_]


@dataclass
class Transactions:
    """Row by row those of the history; times in ns, `end` is NEVER where it has no answer."""

    index: Ints
    process: Ints
    start: Ints
    end: Ints
    outcome: NDArray[np.int8]
    # by step, in their order; reads of what has no answer are left out
    txn: Ints
    write: Bools
    key: Ints
    value: Ints  # code of what was written, or of what was read where it is no list; -1 for a list
    length: Ints  # of a list that was read
    longest: Ints  # by key: the step that read the longest list of it, -1 where none did
    given: Ints  # steps whose elements are in `elements`; what the others read is how the longest begins
    elements: Ints  # codes
    keys: Table
    values: Table

    def __len__(self) -> int:
        return len(self.index)

    def packed(self, key: Ints, value: Ints) -> Ints:
        """One number for a value of a key."""
        found: Ints = key * len(self.values) + value
        return found

    def packed_txn(self, txn: Ints, key: Ints) -> Ints:
        """One number for a key of a transaction."""
        found: Ints = txn * len(self.keys) + key
        return found


def transactions(history: History, writes: str, lists: bool) -> Transactions:
    """Raises BadInput naming the operation that is no transaction."""
    c = history.columns
    codes = np.where(c.outcome == Outcome.OK, c.result, c.value)
    with paused():
        given = [c.values.values[code] for code in codes.tolist()]
        steps = _steps(given, writes, lists)
        if steps is None:
            for op in history.ops:
                micros(op, writes)
            raise AssertionError("a transaction is malformed, and none of them is")
        return _flat(c, given, *steps, lists)


def _steps(given: list[Any], writes: str, lists: bool) -> tuple[list[str], list[Any], list[Any]] | None:
    """The names, keys and values of all steps; None where one is not what it must be."""
    if not set(map(type, given)) <= {list, tuple}:
        return None
    flat = list(chain.from_iterable(given))
    if not set(map(type, flat)) <= {list, tuple} or not set(map(len, flat)) <= {3}:
        return None
    f, key, value = (list(map(itemgetter(i), flat)) for i in range(3))
    if (
        not set(map(type, f)) <= {str}
        or not set(f) <= {"r", writes}
        or {list, dict, tuple} & set(map(type, key))
    ):
        return None
    kinds = set(zip(f, map(type, value), strict=True))
    fit = (list, tuple, type(None))
    if any(kind in (list, dict) if name != "r" or not lists else kind not in fit for name, kind in kinds):
        return None
    return f, key, value


def _flat(
    c: Columns, given: list[Any], f: list[str], key: list[Any], value: list[Any], lists: bool
) -> Transactions:
    txn = np.repeat(np.arange(len(given)), np.fromiter(map(len, given), np.int64, len(given)))
    write = np.fromiter(map("r".__ne__, f), bool, len(f))
    kept = np.flatnonzero(write | (c.outcome[txn] == Outcome.OK))
    keys, values = Table(), Table()
    key_codes = keys.codes(key)[kept]
    txn, write, chosen = txn[kept], write[kept], [value[i] for i in kept.tolist()]
    never = (c.outcome == Outcome.INFO) | (c.completed == NEVER)
    found = Transactions(
        c.index, c.process, c.invoked, np.where(never, NEVER, c.completed), c.outcome, txn, write,
        key_codes, np.full(len(kept), -1, np.int64), np.zeros(len(kept), np.int64),
        np.full(len(keys), -1, np.int64), kept[:0], kept[:0], keys, values,
    )  # fmt: skip
    if lists:
        _read_lists(found, chosen)
    else:
        found.value = values.codes(chosen)
    return found


def _read_lists(t: Transactions, value: list[Any]) -> None:
    """Most lists are how a longer one begins: only the others are taken apart."""
    t.value[t.write] = t.values.codes([value[i] for i in np.flatnonzero(t.write).tolist()])
    reads = np.flatnonzero(~t.write)
    lists = [value[i] or () for i in reads.tolist()]
    t.length[reads] = np.fromiter(map(len, lists), np.int64, len(lists))
    order = reads[np.lexsort((-reads, t.length[reads], t.key[reads]))]
    ends = np.flatnonzero(np.diff(np.append(t.key[order], -1)))
    t.longest[t.key[order[ends]]] = order[ends]
    longest: dict[int, Any] = {int(t.key[i]): value[i] or () for i in order[ends].tolist()}
    keys = t.key[reads].tolist()
    begins = (longest[k][: len(one)] == one for k, one in zip(keys, lists, strict=True))
    apart = ~np.fromiter(begins, bool, len(lists)) | (t.longest[t.key[reads]] == reads)
    t.given = reads[apart]
    t.elements = t.values.codes(list(chain.from_iterable(lists[i] for i in np.flatnonzero(apart).tolist())))
