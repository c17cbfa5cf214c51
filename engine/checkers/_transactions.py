"""Transactions as columns: one row a transaction, one row a step of one, one row an element that was read."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, compress
from operator import eq, getitem
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.columns import NEVER, Columns, Ints, Table
from engine.history import History
from engine.samples import Outcome
from engine.txn import micros

Bools = NDArray[np.bool_]
CHUNK = 1 << 12  # transactions that are taken apart at once, so that they stay in the cache
LISTS = {list, tuple}
NESTED = {list, dict, tuple}
OTHER = bytes((1, 0)) + bytes(254)  # reads for writes, and writes for reads


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
    ok = c.outcome == Outcome.OK
    codes = np.where(ok, c.result, c.value)
    apart = _Apart(writes, lists, ok)
    value = c.values.values.__getitem__
    for start in range(0, len(codes), CHUNK):
        if not apart.take(list(map(value, codes[start : start + CHUNK].tolist())), start):
            for op in history.ops:
                micros(op, writes)
            raise AssertionError("a transaction is malformed, and none of them is")
    return apart.put_together(c)


class _Coded:
    """Codes of what comes in parts. Whole numbers get theirs at the end, without a look at each."""

    def __init__(self, table: Table) -> None:
        self._table, self._parts, self._numbers = table, list[Ints](), True

    def add(self, found: Sequence[Any], kinds: set[type]) -> None:
        part = self._as_numbers(found) if self._numbers and kinds <= {int} else None
        if part is None and self._numbers:
            self._parts = [self._table.codes(one.tolist()) for one in self._parts]
            self._numbers = False
        self._parts.append(self._table.codes(found) if part is None else part)

    def _as_numbers(self, found: Sequence[int]) -> Ints | None:
        try:
            return np.fromiter(found, np.int64, len(found))
        except OverflowError:
            return None

    def codes(self) -> Ints:
        found = np.concatenate([np.zeros(0, np.int64), *self._parts])
        if not self._numbers or not len(found):
            return found
        low, high = int(found.min()), int(found.max())
        if high - low > 4 * len(found):
            distinct, place = np.unique(found, return_inverse=True)
            spread: Ints = self._table.codes(distinct.tolist())[place.ravel()]
            return spread
        there = np.zeros(high - low + 1, bool)
        there[found - low] = True
        code = np.zeros(len(there), np.int64)
        code[there] = self._table.codes((np.flatnonzero(there) + low).tolist())
        coded: Ints = code[found - low]
        return coded


class _Apart:
    """Takes transactions apart, some at a time."""

    def __init__(self, writes: str, lists: bool, ok: Bools) -> None:
        self._does, self._lists, self._ok = {"r": 0, writes: 1}, lists, ok
        self.keys, self.values = Table(), Table()
        self._keys, self._values = _Coded(self.keys), _Coded(self.values)
        self._txn: list[Ints] = []
        self._write: list[Bools] = []
        self._read: list[Any] = []  # the lists that were read
        self._lengths: list[Ints] = []

    def take(self, given: list[Any], start: int) -> bool:
        """The first has the row `start`; false where one is not what it must be."""
        if not set(map(type, given)) <= LISTS:
            return False
        flat = list(chain.from_iterable(given))
        if not set(map(type, flat)) <= LISTS or not set(map(len, flat)) <= {3}:
            return False
        words = list(chain.from_iterable(flat))
        try:
            does = bytes(map(self._does.__getitem__, words[0::3]))
        except (KeyError, TypeError):
            return False
        counts = np.fromiter(map(len, given), np.int64, len(given))
        txn = np.repeat(np.arange(start, start + len(given)), counts)
        return self._keep(txn, does, words[1::3], words[2::3])

    def _keep(self, txn: Ints, does: bytes, key: list[Any], value: list[Any]) -> bool:
        """Without the reads of what has no answer; false where a key or a value is not what it must be."""
        kinds = set(map(type, key))
        written, read = list(compress(value, does)), list(compress(value, does.translate(OTHER)))
        types = set(map(type, written))
        answers = set(map(type, read))
        if kinds & NESTED or types & NESTED or not self._may_be_read(answers):
            return False
        write = np.frombuffer(does, np.bool_)
        kept = write | self._ok[txn]
        if not kept.all():
            chosen = kept.tolist()
            key, value = list(compress(key, chosen)), list(compress(value, chosen))
            read = list(compress(read, kept[~write].tolist()))
            txn, write = txn[kept], write[kept]
        self._txn.append(txn)
        self._write.append(write)
        self._keys.add(key, kinds)
        if self._lists:
            read = [one or () for one in read] if type(None) in answers else read
            self._read += read
            self._lengths.append(np.fromiter(map(len, read), np.int64, len(read)))
            self._values.add(written, types)
        else:
            self._values.add(value, set(map(type, value)))
        return True

    def _may_be_read(self, kinds: set[type]) -> bool:
        return kinds <= {*LISTS, type(None)} if self._lists else not kinds & NESTED

    def put_together(self, c: Columns) -> Transactions:
        nothing = np.zeros(0, np.int64)
        txn = np.concatenate([nothing, *self._txn])
        write = np.concatenate([np.zeros(0, bool), *self._write])
        never = (c.outcome == Outcome.INFO) | (c.completed == NEVER)
        key, value = self._keys.codes(), self._values.codes()
        found = Transactions(
            c.index, c.process, c.invoked, np.where(never, NEVER, c.completed), c.outcome, txn, write, key,
            np.full(len(txn), -1, np.int64), np.zeros(len(txn), np.int64), np.full(len(self.keys), -1, np.int64),
            nothing, nothing, self.keys, self.values,
        )  # fmt: skip
        if self._lists:
            found.value[write] = value
            _read_lists(found, self._read, np.concatenate([nothing, *self._lengths]))
        else:
            found.value = value
        return found


def _read_lists(t: Transactions, lists: list[Any], lengths: Ints) -> None:
    """Most lists are how a longer one begins: only the others are taken apart."""
    reads = np.flatnonzero(~t.write)
    t.length[reads] = lengths
    longest = _longest(t, reads)
    number = np.zeros(len(t.txn), np.int64)
    number[reads] = np.arange(len(reads))
    there = np.flatnonzero(t.longest >= 0)
    by_key: list[Any] = [()] * len(t.keys)
    for key, at in zip(there.tolist(), number[t.longest[there]].tolist(), strict=True):
        by_key[key] = lists[at]
    whole = map(by_key.__getitem__, t.key[reads].tolist())
    until = list(map(slice, range(int(lengths.max(initial=0)) + 1)))
    begins = map(getitem, whole, map(until.__getitem__, lengths.tolist()))
    apart = ~np.fromiter(map(eq, begins, lists), bool, len(lists)) | longest[number[reads]]
    t.given = reads[apart]
    t.elements = t.values.codes(list(chain.from_iterable(compress(lists, apart.tolist()))))


def _longest(t: Transactions, reads: Ints) -> Bools:
    """Fills in the first of the longest reads of each key; of each read, whether it is such a one."""
    key, length = t.key[reads], t.length[reads]
    most = np.full(len(t.keys), -1, np.int64)
    np.maximum.at(most, key, length)
    top = np.flatnonzero(length == most[key])[::-1]
    t.longest[key[top]] = reads[top]  # of several the first stays
    same: Bools = t.longest[key] == reads
    return same
