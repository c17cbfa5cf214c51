"""Registers without a clock: what must come before what, where each process does one operation after the other.

An operation is before the next one of its process, a write before the reads of it. A process that met one
value and then another tells that the one was written before the other (as Gibbons and Korach do for their
verification of sequential consistency with a known reads-from relation, 1997, which in general is NP-complete:
so without a cycle it needs an order of the writes, too, and orders are guessed).
"""

from collections.abc import Sequence

import numpy as np

from engine.checkers._graph import PROCESS, RW, VIA, WR, WW, Graph, components
from engine.checkers._registers import Bools, Registers
from engine.columns import NEVER, NONE, Columns, Ints
from engine.samples import Outcome

AT_FIRST = -1  # who wrote what was there at first
NOBODY = -2


class ProgramOrder:
    """Nodes of the graph are rows of the history; `found` has no key that is hard."""

    def __init__(self, c: Columns, found: Registers) -> None:
        self.c, self.graph = c, Graph(len(c))
        self._new, self._old = found.new, found.old
        self._index(found.rows)
        self._happened(found.read)
        self.unwritten = self.readers[(self.source == NOBODY) | (self.source == self.readers)]
        if not len(self.unwritten):
            self._edges()

    def _index(self, rows: Ints) -> None:
        packed = self.c.key[rows] * len(self.c.values) + self._new[rows]
        order = np.argsort(packed)
        self._packed, self._writers = packed[order], rows[order]

    def _writer(self, key: Ints, value: Ints) -> Ints:
        found = np.full(len(key), NOBODY, np.int64)
        if len(self._packed):
            wanted = key * len(self.c.values) + value
            at = np.minimum(np.searchsorted(self._packed, wanted), len(self._packed) - 1)
            found = np.where(self._packed[at] == wanted, self._writers[at], NOBODY)
        return np.where(value == NONE, AT_FIRST, found)

    def _happened(self, read: Bools) -> None:
        """What was answered, and what it led to being read: `readers` with the writer of each, and `writes`."""
        c = self.c
        asked = np.where(self._old >= 0, self._old, c.result)
        source = np.full(len(c), NOBODY, np.int64)
        looks = read | (self._old >= 0)
        source[looks] = self._writer(c.key[looks], asked[looks])
        there = read.copy()
        there[self._writers[c.outcome[self._writers] == Outcome.OK]] = True
        fresh = there & looks
        while fresh.any():
            led = source[fresh]
            led = led[led >= 0]
            led = np.unique(led[~there[led]])
            there[led] = True
            fresh = np.zeros(len(c), bool)
            fresh[led[looks[led]]] = True
        self.there = there
        self.readers = np.flatnonzero(there & looks)
        self.source = source[self.readers]
        self.writes = self._writers[there[self._writers]]

    # Edges

    def _edges(self) -> None:
        c, graph = self.c, self.graph
        rows = np.flatnonzero(self.there)
        rows = rows[np.argsort(c.process[rows], kind="stable")]
        same = c.process[rows][1:] == c.process[rows][:-1]
        graph.add(rows[:-1][same], rows[1:][same], PROCESS)
        written = self.source >= 0
        graph.add(self.source[written], self.readers[written], WR, c.key[self.readers[written]])
        begun = ~written
        later = self.writes[np.argsort(c.key[self.writes], kind="stable")]
        graph.before_all(self.readers[begun], c.key[self.readers[begun]], RW, (later, c.key[later]))
        before, after = self._met()
        graph.add(before, after, WW, c.key[after])
        self._read_before(before, after)

    def _met(self) -> tuple[Ints, Ints]:
        """Of each process on each key the writes that it met, one before the next."""
        c = self.c
        row = np.concatenate([self.readers, self.writes])
        version = np.concatenate([self.source, self.writes])
        writes = np.repeat([0, 1], [len(self.readers), len(self.writes)])
        order = np.lexsort((writes, row, c.key[row], c.process[row]))
        row, version = row[order], version[order]
        same = (c.process[row][1:] == c.process[row][:-1]) & (c.key[row][1:] == c.key[row][:-1])
        at = np.flatnonzero(same & (version[1:] != version[:-1]) & (version[1:] >= 0) & (version[:-1] >= 0))
        packed, first = np.unique(version[at] * len(c) + version[at + 1], return_index=True)
        self._pairs, self._by = packed, (row[at[first]], row[at[first] + 1])
        return packed // max(len(c), 1), packed % max(len(c), 1)

    def met_by(self, one: int, other: int) -> tuple[int, int] | None:
        """The operations of one process that met what these writes wrote, in this order."""
        wanted = one * len(self.c) + other
        at = int(np.searchsorted(self._pairs, wanted))
        if at == len(self._pairs) or self._pairs[at] != wanted:
            return None
        return int(self._by[0][at]), int(self._by[1][at])

    def read_by(self, row: int) -> int:
        """The write whose value it read; below 0 where it was there at first."""
        return int(self.source[np.searchsorted(self.readers, row)])

    def _read_before(self, before: Ints, after: Ints) -> None:
        """All that read a version did so before each one that is known to be later was written."""
        c, graph = self.c, self.graph
        cas = self._old[self.readers] >= 0
        written = self.source >= 0
        look, of = self.readers[written & ~cas], self.source[written & ~cas]
        hub = np.full(len(c), -1, np.int64)
        versions = np.unique(before)
        hub[versions] = graph.fresh(len(versions))
        known = hub[of] >= 0
        graph.add(look[known], hub[of[known]], RW, c.key[look[known]])
        graph.add(hub[before], after, VIA)
        self._taken(self.readers[cas], self.source[cas], before, after)

    def _taken(self, cas: Ints, of: Ints, before: Ints, after: Ints) -> None:
        """A cas stands right behind the version that it found: before all others that come later."""
        key = self.c.key[cas]
        group = np.where(of >= 0, of, -2 - key)  # what was there at first is another one for each key
        order = np.argsort(group, kind="stable")
        cas, of, group = cas[order], of[order], group[order]
        twice = np.flatnonzero(group[1:] == group[:-1])
        for one, other in ((cas[twice], cas[twice + 1]), (cas[twice + 1], cas[twice])):
            self.graph.add(one, other, RW, self.c.key[one])
        by = np.full(len(self.c), -1, np.int64)
        by[of[of >= 0]] = cas[of >= 0]
        then = by[before] >= 0
        self.graph.add(by[before[then]], after[then], RW, self.c.key[after[then]])

    # Orders of the writes

    def sources(self, rows: Sequence[int]) -> list[int]:
        """All that these rows come from: whose values they read, whose those read, and so on."""
        found, todo = set[int](), [row for row in rows if self._reads(row)]
        while todo:
            source = self.read_by(todo.pop())
            if source >= 0 and source not in found:
                found.add(source)
                todo += [source] if self._reads(source) else []
        return sorted(found)

    def _reads(self, row: int) -> bool:
        at = int(np.searchsorted(self.readers, row))
        return at < len(self.readers) and int(self.readers[at]) == row

    def explains(self) -> Ints | None:
        """Numbers by which the writes of each key stand in an order that explains all; None where none is found.

        When they were first read or ended, ended, or began; or as the graph allows. The graph keeps that order.
        """
        c = self.c
        ended = np.where(c.outcome == Outcome.OK, c.completed, NEVER)
        seen = ended.copy()
        written = self.source >= 0
        np.minimum.at(seen, self.source[written], c.completed[self.readers[written]])
        for hint in (seen, ended, c.invoked):
            if self.ordered(hint):
                return hint
        rows = self.graph.order(seen)
        if rows is None:
            return None
        place = np.zeros(len(c), np.int64)
        place[rows] = np.arange(len(rows))
        return place if self.ordered(place) else None

    def ordered(self, hint: Ints) -> bool:
        """Is there an order of everything in which the writes of each key stand in that of `hint`?

        The graph keeps the edges of this order if there is one.
        """
        c, graph = self.c, self.graph
        mark = graph.mark()
        writes = self.writes[np.lexsort((hint[self.writes], c.key[self.writes]))]
        same = c.key[writes][1:] == c.key[writes][:-1]
        graph.add(writes[:-1][same], writes[1:][same], WW, c.key[writes[1:][same]])
        next_of, first_of = np.full(len(c), -1, np.int64), np.full(len(c.keys), -1, np.int64)
        next_of[writes[:-1][same]] = writes[1:][same]
        begins = np.append(True, ~same) if len(writes) else np.zeros(0, bool)
        first_of[c.key[writes[begins]]] = writes[begins]
        following = np.where(self.source >= 0, next_of[self.source], first_of[c.key[self.readers]])
        then = following >= 0
        graph.add(self.readers[then], following[then], RW, c.key[self.readers[then]])
        if (components(graph.nodes, *graph.ends()) >= 0).any():
            graph.back_to(mark)
            return False
        return True
