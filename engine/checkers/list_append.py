from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from engine.checkers._graph import RW, WR, WW
from engine.checkers._isolation import Analysis, Transactional
from engine.checkers._transactions import Bools, Transactions
from engine.columns import Ints
from engine.samples import Outcome


@dataclass(frozen=True)
class ListAppend(Transactional):
    """Transactions that append to lists and read them: is there an anomaly that the isolation level forbids?"""

    judges: ClassVar[tuple[str, ...]] = ("list-append",)
    NAME: ClassVar[str] = "list-append"
    WRITES: ClassVar[str] = "append"
    LISTS: ClassVar[bool] = True

    def analyse(self, t: Transactions) -> Analysis:
        found = _Lists(t)
        found.judge()
        return found

    def complete(self, analysis: Analysis) -> bool:
        return True  # a list tells the order of its versions

    def applied(self, analysis: Analysis) -> Any:
        assert isinstance(analysis, _Lists)
        return analysis.committed


class _Lists(Analysis):
    """Appends and reads by number; `order` is the place of an append in the longest list that was read, or -1."""

    def judge(self) -> None:
        t = self.t
        self.appends, self.reads = np.flatnonzero(t.write), np.flatnonzero(~t.write)
        self.by, self.key = t.txn[self.appends], t.key[self.appends]
        self.writer = np.append(self.by, -1)  # of append -1, which is none, there is none
        if self._twice():
            return
        self._elements()
        self._orders()
        self.committed = t.outcome == Outcome.OK
        good = self.element >= 0
        self.committed[self.by[self.element[good]]] |= t.outcome[self.by[self.element[good]]] == Outcome.INFO
        self._never_committed()
        self._inside()
        self._intermediate()
        self._lost_updates()
        self._edges()

    def _twice(self) -> bool:
        packed = self.t.packed(self.key, self.t.value[self.appends])
        self.sorted = np.argsort(packed, kind="stable")
        self.packed = packed[self.sorted]
        again = np.flatnonzero(self.packed[1:] == self.packed[:-1])
        if len(again):
            step = self.appends[self.sorted[again[0]]]
            key, value = self.t.keys.values[self.t.key[step]], self.t.values.values[self.t.value[step]]
            self.unjudged = (
                f"{value!r} is appended to {key!r} more than once; the checker needs unique values"
            )
        return bool(len(again))

    def _elements(self) -> None:
        """Of each element that is given: the step that read it, its place in the list, the append, or -1."""
        t = self.t
        lengths = t.length[t.given]
        self.read_of = np.repeat(t.given, lengths)
        begins = np.cumsum(lengths) - lengths
        self.place = np.arange(len(self.read_of)) - np.repeat(begins, lengths)
        wanted = t.packed(t.key[self.read_of], t.elements)
        self.element = np.full(len(wanted), -1, np.int64)
        if len(self.packed):
            at = np.minimum(np.searchsorted(self.packed, wanted), len(self.packed) - 1)
            same = self.packed[at] == wanted
            self.element[same] = self.sorted[at[same]]
        unwritten = np.flatnonzero(self.element < 0)
        self.note("unwritten", unwritten, lambda i: self._read_told(i, "nobody has appended it"))
        self._lasts(begins)

    def _lasts(self, begins: Ints) -> None:
        """The append that each read ends with: its own last element, or one of the longest list."""
        t = self.t
        begin = np.full(len(t.txn), -1, np.int64)
        begin[t.given] = begins
        where = begin[self.reads]
        where = np.where(where < 0, begin[t.longest[t.key[self.reads]]], where)
        lengths = t.length[self.reads]
        self.last = np.full(len(self.reads), -1, np.int64)
        full = np.flatnonzero(lengths > 0)
        self.last[full] = self.element[where[full] + lengths[full] - 1]

    def _read_told(self, i: int, why: str) -> tuple[str, list[int], int]:
        step = self.read_of[i]
        value = self.t.values.values[self.t.elements[i]]
        return f"{value!r} was read, and {why}", [int(self.t.txn[step])], int(self.t.key[step])

    def _orders(self) -> None:
        """The longest list of a key is the order of its versions; every other must be how it begins."""
        t = self.t
        in_longest = t.longest[t.key[self.read_of]] == self.read_of
        self.order = np.full(len(self.appends) + 1, -1, np.int64)
        known = self.element >= 0
        chosen = in_longest & known
        self.order[self.element[chosen]] = self.place[chosen]
        wrong = known & (self.order[self.element] != self.place)
        self.broken = np.zeros(len(t.keys), bool)
        self.broken[t.key[self.read_of[wrong | ~known]]] = True
        twice = wrong & in_longest
        self.note("duplicate", np.flatnonzero(twice), lambda i: self._read_told(i, "it is in the list twice"))
        apart = np.flatnonzero(wrong & ~in_longest)
        _, first = np.unique(self.read_of[apart], return_index=True)
        self.note("incompatible order", apart[first], self._apart_told)

    def _apart_told(self, i: int) -> tuple[str, list[int], int]:
        why, rows, key = self._read_told(i, "at another place than in a longer list that was read")
        return why, [*rows, int(self.t.txn[self.t.longest[key]])], key

    def _never_committed(self) -> None:
        good = np.flatnonzero(self.element >= 0)
        failed = good[self.t.outcome[self.by[self.element[good]]] == Outcome.FAIL]

        def told(i: int) -> tuple[str, list[int], int]:
            why, rows, key = self._read_told(i, "its transaction certainly failed")
            return why, [*rows, int(self.by[self.element[i]])], key

        self.note("G1a", failed, told)

    def _inside(self) -> None:
        """Does a transaction see what it has read and appended itself?"""
        t = self.t
        group = np.argsort(t.packed_txn(t.txn, t.key), kind="stable")
        txn, key, write = t.txn[group], t.key[group], t.write[group]
        self.updates = group[:0]
        if not len(group):
            return
        begins = np.ones(len(group), bool)
        begins[1:] = (txn[1:] != txn[:-1]) | (key[1:] != key[:-1])
        number = np.full(len(t.txn), -1, np.int64)
        number[self.appends], number[self.reads] = np.arange(len(self.appends)), np.arange(len(self.reads))
        number = number[group]
        looks = np.flatnonzero(~write)
        follows = looks[~begins[looks]]
        before = follows - 1
        after_append = write[before]
        own = follows[after_append]
        wrong = self.last[number[own]] != number[own - 1]
        place = self.order[number[own - 1]]
        there = (place >= 0) & (place < t.length[self.reads[number[own]]])
        self._note_inside("internal", group[own[wrong & ~there]], "lacks its own append")
        self._note_inside("non-repeatable read", group[own[wrong & there]], "has more behind its own append")
        again, prior = follows[~after_append], before[~after_append]
        a, b = number[again], number[prior]
        differ = (self.last[a] != self.last[b]) | (t.length[self.reads[a]] != t.length[self.reads[b]])
        self._note_inside("non-repeatable read", group[again[differ]], "has changed")
        self._grown(group, begins, write, number, own[~wrong])
        self._own_order(group, begins, write, number)

    def _grown(self, group: Ints, begins: Bools, write: Bools, number: Ints, own: Ints) -> None:
        """After a read and n appends, a read must be n longer."""
        t = self.t
        start = np.maximum.accumulate(np.where(begins, np.arange(len(group)), 0))
        latest_read = np.maximum.accumulate(np.where(write, -1, np.arange(len(group))))
        prior = latest_read[own - 1]
        there = prior >= start[own]
        own, prior = own[there], prior[there]
        grown = t.length[self.reads[number[own]]] - t.length[self.reads[number[prior]]]
        wrong = own[grown != own - prior - 1]
        self._note_inside("non-repeatable read", group[wrong], "has more than its own appends besides")

    def _own_order(self, group: Ints, begins: Bools, write: Bools, number: Ints) -> None:
        """Its appends to a key are there together, in their order, and not before they were made."""
        second = np.flatnonzero(write[1:] & write[:-1] & ~begins[1:]) + 1
        a, b = self.order[number[second - 1]], self.order[number[second]]
        wrong = second[(b >= 0) & ((a < 0) | (a > b))]
        self._note_inside("internal", group[wrong], "has its appends in another order, or not all of them")
        rows = np.arange(len(group))
        next_write = np.minimum.accumulate(np.where(write, rows, len(group))[::-1])[::-1]
        end = np.minimum.accumulate(np.where(np.append(begins[1:], True), rows, len(group))[::-1])[::-1]
        reads = np.flatnonzero(~write & (next_write <= end))
        self.updates = number[reads[begins[reads]]]
        place = self.order[number[next_write[reads]]]
        early = reads[(place >= 0) & (place < self.t.length[self.reads[number[reads]]])]
        self._note_inside("internal", group[early], "has what it appends only later")

    def _note_inside(self, kind: str, steps: Ints, why: str) -> None:
        self.note(kind, steps, lambda step: self._inside_told(step, why))

    def _inside_told(self, step: int, why: str) -> tuple[str, list[int], int]:
        key = int(self.t.key[step])
        return (
            f"T{self.t.index[self.t.txn[step]]} on {self.t.keys.values[key]!r}: what it reads {why}",
            [int(self.t.txn[step])],
            key,
        )

    def _intermediate(self) -> None:
        """Of the appends of one transaction to a key only the last is there for others."""
        final = np.ones(len(self.appends) + 1, bool)
        if len(self.appends):
            order = np.argsort(self.t.packed_txn(self.by, self.key), kind="stable")
            by, key = self.by[order], self.key[order]
            final[order[:-1]] = (by[1:] != by[:-1]) | (key[1:] != key[:-1])
        seen = self.last >= 0
        reader = self.t.txn[self.reads]
        wrong = seen & ~final[self.last] & (self.writer[self.last] != reader)

        def told(i: int) -> tuple[str, list[int], int]:
            writer, step = int(self.by[self.last[i]]), self.reads[i]
            rows = [int(self.t.txn[step]), writer]
            return (
                f"T{self.t.index[writer]} appended more to the key than was read",
                rows,
                int(self.t.key[step]),
            )

        self.note("G1b", np.flatnonzero(wrong), told)

    def _lost_updates(self) -> None:
        """Two transactions read the same version of a key and both append to it."""
        t = self.t
        own = self.updates  # reads by which a transaction that appends later learns of a version
        own = own[self.committed[t.txn[self.reads[own]]]]
        txn, key = t.txn[self.reads], t.key[self.reads]
        own = own[~self.broken[key[own]] & (self.writer[self.last[own]] != txn[own])]
        version = key[own] * (len(self.appends) + 1) + self.last[own] + 1
        order = np.argsort(version)
        same = np.flatnonzero(version[order][1:] == version[order][:-1])

        def told(i: int) -> tuple[str, list[int], int]:
            one, other = own[order[i]], own[order[i + 1]]
            rows = [int(txn[one]), int(txn[other])]
            both = " and ".join(f"T{t.index[row]}" for row in rows)
            return f"{both} read the same version and both append to it", rows, int(key[one])

        self.note("lost update", same, told)

    def _edges(self) -> None:
        t, graph = self.t, self.graph
        sound = ~self.broken
        place = self.order[:-1]
        ordered = np.flatnonzero((place >= 0) & sound[self.key] & self.committed[self.by])
        ordered = ordered[np.argsort(self.key[ordered] * (len(place) + 1) + place[ordered], kind="stable")]
        next_of = np.full(len(self.appends) + 1, -1, np.int64)
        follows = self.key[ordered][1:] == self.key[ordered][:-1]
        next_of[ordered[:-1][follows]] = ordered[1:][follows]
        first_of = np.full(len(t.keys), -1, np.int64)
        begin = np.ones(len(ordered), bool)
        begin[1:] = ~follows
        first_of[self.key[ordered[begin]]] = ordered[begin]
        a = np.flatnonzero(next_of >= 0)
        graph.add(self.by[a], self.by[next_of[a]], WW, self.key[a])
        reads = np.flatnonzero(sound[t.key[self.reads]])
        last, reader, key = self.last[reads], t.txn[self.reads[reads]], t.key[self.reads[reads]]
        from_ = last >= 0
        graph.add(self.by[last[from_]], reader[from_], WR, key[from_])
        following = np.where(from_, next_of[last], first_of[key])
        then = following >= 0
        graph.add(reader[then], self.by[following[then]], RW, key[then])
        self._unseen(reader[~then], key[~then], ordered[next_of[ordered] < 0])

    def _unseen(self, reader: Ints, key: Ints, last: Ints) -> None:
        """Appends that no read saw come after the last one that was seen."""
        unseen = np.flatnonzero((self.order[:-1] < 0) & self.committed[self.by] & ~self.broken[self.key])
        pairs = np.unique(np.stack([self.key[unseen], self.by[unseen]]), axis=1)
        later = (pairs[1], pairs[0])
        self.graph.before_all(reader, key, RW, later)
        self.graph.before_all(self.by[last], self.key[last], WW, later)
