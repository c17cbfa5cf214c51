from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from engine.checkers._graph import RW, WR, WW, components
from engine.checkers._isolation import Analysis, Transactional
from engine.checkers._transactions import Transactions
from engine.columns import NEVER, NONE, Ints
from engine.samples import Outcome


@dataclass(frozen=True)
class RwRegister(Transactional):
    """Transactions that write and read registers: is there an anomaly that the isolation level forbids?

    The order of versions is known only where a transaction read one and wrote the next. Where that is
    not enough to be sure, an order that explains all reads is looked for.
    """

    judges: ClassVar[tuple[str, ...]] = ("rw-register",)
    NAME: ClassVar[str] = "rw-register"
    WRITES: ClassVar[str] = "w"
    LISTS: ClassVar[bool] = False

    def analyse(self, t: Transactions) -> Analysis:
        found = _Registers(t)
        found.judge()
        return found

    def complete(self, analysis: Analysis) -> bool:
        """With the orders of versions that the graph allows and time suggests, is there still no cycle?"""
        assert isinstance(analysis, _Registers)
        t = analysis.t
        ends = np.where(t.end == NEVER, t.start, t.end)
        return any(analysis.guess(hint) for hint in (ends, t.start, t.start + (ends - t.start) // 2))

    def applied(self, analysis: Analysis) -> Any:
        assert isinstance(analysis, _Registers)
        return analysis.committed


class _Registers(Analysis):
    """Writes by number; only the last write of a transaction to a key is a version that others may read."""

    def judge(self) -> None:
        t = self.t
        self.writes = np.flatnonzero(t.write)
        if self._unfit():
            return
        self._inside()
        self._never_committed()
        self._versions()
        self._lost_updates()
        self._edges()

    def _unfit(self) -> bool:
        t = self.t
        packed = t.packed(t.key[self.writes], t.value[self.writes])
        self.sorted = np.argsort(packed, kind="stable")
        self.packed = packed[self.sorted]
        again = np.flatnonzero(self.packed[1:] == self.packed[:-1])
        null = np.flatnonzero(t.value[self.writes] == NONE)
        at = self.writes[self.sorted[again[:1]]] if len(again) else self.writes[null[:1]]
        if len(at):
            key, value = t.keys.values[t.key[at[0]]], t.values.values[t.value[at[0]]]
            how = "more than once" if len(again) else "as if it were a value"
            self.unjudged = (
                f"{value!r} is written to {key!r} {how}; the checker needs unique values that are not null"
            )
        return bool(len(at))

    def _inside(self) -> None:
        """Reads that follow a step of their own transaction on the key must agree with it; the others are outward."""
        t = self.t
        group = np.lexsort((np.arange(len(t.txn)), t.key, t.txn))
        again = np.zeros(len(group), bool)
        again[1:] = (t.txn[group][1:] == t.txn[group][:-1]) & (t.key[group][1:] == t.key[group][:-1])
        here = np.flatnonzero(again & ~t.write[group])
        differ = here[t.value[group[here]] != t.value[group[here - 1]]]
        after_write = t.write[group[differ - 1]]
        self.note(
            "internal", group[differ[after_write]], lambda s: self._told(s, "it does not read what it wrote")
        )
        self.note(
            "non-repeatable read",
            group[differ[~after_write]],
            lambda s: self._told(s, "it reads another value again"),
        )
        first = group[~again & ~t.write[group]]
        self.reads = np.sort(first)
        last = np.ones(len(group), bool)  # the last write of a transaction to a key
        writes = group[t.write[group]]
        last = np.ones(len(writes), bool)
        last[:-1] = (t.txn[writes][1:] != t.txn[writes][:-1]) | (t.key[writes][1:] != t.key[writes][:-1])
        self.final = np.zeros(len(t.txn) + 1, bool)
        self.final[writes[last]] = True
        wanted = t.packed(t.key[self.reads], t.value[self.reads])
        self.source = np.full(len(self.reads), -1, np.int64)  # the step that wrote what was read
        if len(self.packed):
            at = np.minimum(np.searchsorted(self.packed, wanted), len(self.packed) - 1)
            self.source = np.where(self.packed[at] == wanted, self.writes[self.sorted[at]], -1)
        null = t.value[self.reads] == NONE
        self.null = null
        unwritten = self.reads[(self.source < 0) & ~null]
        self.note("unwritten", unwritten, lambda s: self._told(s, "nobody has written what it reads"))
        own = (self.source >= 0) & (t.txn[self.source] == t.txn[self.reads])
        self.note("internal", self.reads[own], lambda s: self._told(s, "it reads what it writes only later"))
        self.source[own] = -1

    def _told(self, step: int, why: str) -> tuple[str, list[int], int]:
        key, txn = int(self.t.key[step]), int(self.t.txn[step])
        return f"T{self.t.index[txn]} on {self.t.keys.values[key]!r}: {why}", [txn], key

    def _never_committed(self) -> None:
        t = self.t
        self.committed = t.outcome == Outcome.OK
        there = np.flatnonzero(self.source >= 0)
        writer = t.txn[self.source[there]]
        failed = there[t.outcome[writer] == Outcome.FAIL]
        self.note("G1a", failed, lambda i: self._pair(i, "its transaction certainly failed"))
        between = there[~self.final[self.source[there]]]
        self.note("G1b", between, lambda i: self._pair(i, "its transaction wrote more to the key"))
        self.committed[writer[t.outcome[writer] == Outcome.INFO]] = True

    def _pair(self, i: int, why: str) -> tuple[str, list[int], int]:
        told, rows, key = self._told(int(self.reads[i]), f"it reads {self._value(i)!r}, and {why}")
        return told, [*rows, int(self.t.txn[self.source[i]])], key

    def _value(self, i: int) -> Any:
        return self.t.values.values[self.t.value[self.reads[i]]]

    def _versions(self) -> None:
        """Final writes of what was committed; and which of them certainly follows which, by those that did both."""
        t = self.t
        chosen = np.flatnonzero(self.final[:-1] & self.committed[t.txn])
        order = chosen[np.lexsort((t.txn[chosen], t.key[chosen]))]
        self.versions = order
        self.version_of = t.packed_txn(t.txn[order], t.key[order])
        self.by_pair = np.argsort(self.version_of)
        self.own = self._own_version(t.txn[self.reads], t.key[self.reads])

    def _own_version(self, txn: Ints, key: Ints) -> Ints:
        """The final write of a transaction to a key, as a step; -1 where there is none."""
        wanted = self.t.packed_txn(txn, key)
        if not len(self.versions):
            return np.full(len(wanted), -1, np.int64)
        sorted_ = self.version_of[self.by_pair]
        at = np.minimum(np.searchsorted(sorted_, wanted), len(sorted_) - 1)
        return np.where(sorted_[at] == wanted, self.versions[self.by_pair[at]], -1)

    def _lost_updates(self) -> None:
        t = self.t
        both = np.flatnonzero(
            (self.own >= 0) & self.committed[t.txn[self.reads]] & ((self.source >= 0) | self.null)
        )
        version = t.packed(t.key[self.reads[both]], t.value[self.reads[both]])
        order = both[np.argsort(version, kind="stable")]
        ranked = t.packed(t.key[self.reads[order]], t.value[self.reads[order]])
        same = np.flatnonzero(ranked[1:] == ranked[:-1])

        def told(i: int) -> tuple[str, list[int], int]:
            rows = [int(t.txn[self.reads[order[i + n]]]) for n in (0, 1)]
            both_ = " and ".join(f"T{t.index[row]}" for row in rows)
            return (
                f"{both_} read the same version and both write the next",
                rows,
                int(t.key[self.reads[order[i]]]),
            )

        self.note("lost update", same, told)

    def _edges(self) -> None:
        t, graph = self.t, self.graph
        reads = np.flatnonzero(self.source >= 0)
        source, reader, key = self.source[reads], t.txn[self.reads[reads]], t.key[self.reads[reads]]
        graph.add(t.txn[source], reader, WR, key)
        next_ = reads[self.own[reads] >= 0]
        graph.add(t.txn[self.source[next_]], t.txn[self.own[next_]], WW, t.key[self.reads[next_]])
        null = np.flatnonzero(self.null)
        later = (t.txn[self.versions], t.key[self.versions])
        graph.before_all(t.txn[self.reads[null]], t.key[self.reads[null]], RW, later)
        # what read a version comes before whoever wrote the next; that one read the version, too
        by_source = next_[np.argsort(self.source[next_], kind="stable")]
        if not len(by_source):
            return
        at = np.minimum(np.searchsorted(self.source[by_source], source), len(by_source) - 1)
        follows = self.source[by_source[at]] == source
        graph.add(reader[follows], t.txn[self.own[by_source[at[follows]]]], RW, key[follows])

    def guess(self, hint: Ints) -> bool:
        """Takes the versions of each key in an order that the graph allows; false where that makes a cycle.

        Of those that it allows, the transaction with the lower hint comes first.
        """
        known = self.graph.mark()
        if self._taken(hint):
            return True
        self.graph.back_to(known)
        return False

    def _taken(self, hint: Ints) -> bool:
        t, graph = self.t, self.graph
        order = graph.order(hint)
        if order is None:
            return False
        place = np.full(len(t), len(t), np.int64)
        place[order] = np.arange(len(order))
        versions = self.versions[np.lexsort((place[t.txn[self.versions]], t.key[self.versions]))]
        next_of, first_of = np.full(len(t.txn) + 1, -1, np.int64), np.full(len(t.keys), -1, np.int64)
        same = t.key[versions][1:] == t.key[versions][:-1]
        next_of[versions[:-1][same]] = versions[1:][same]
        begin = np.ones(len(versions), bool)
        begin[1:] = ~same
        first_of[t.key[versions[begin]]] = versions[begin]
        a = versions[next_of[versions] >= 0]
        graph.add(t.txn[a], t.txn[next_of[a]], WW, t.key[a])
        following = np.where(self.null, first_of[t.key[self.reads]], next_of[self.source])
        then = (following >= 0) & ((self.source >= 0) | self.null)
        graph.add(t.txn[self.reads[then]], t.txn[following[then]], RW, t.key[self.reads[then]])
        return not (components(graph.nodes, *graph.ends()) >= 0).any()
