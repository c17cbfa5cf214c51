"""Which transaction must come before which, as columns of edges.

Nodes below `count` are transactions; those above stand for "all that come next on a key" or for a moment.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from engine.columns import NEVER, Ints

Bools = NDArray[np.bool_]
Nodes = NDArray[np.int32]
WW, WR, RW, TIME, VIA, PROCESS = range(6)  # VIA leads on from a node that is no transaction
KINDS = ("ww", "wr", "rw", "real time", "", "process")


class Edge(NamedTuple):
    source: int
    target: int
    kind: int
    key: int


class _Part(NamedTuple):
    """Edges of one kind; `key` is None where they are about none."""

    source: Nodes
    target: Nodes
    kind: int
    key: Ints | None

    def among(self, label: Nodes) -> tuple[Ints, Ints, Ints, Ints]:
        found = label[self.source]
        inside = np.flatnonzero((found >= 0) & (found == label[self.target]))
        source, target = (one[inside].astype(np.int64) for one in (self.source, self.target))
        key = np.full(len(inside), -1, np.int64) if self.key is None else self.key[inside]
        return source, target, np.full(len(inside), self.kind, np.int64), key


@dataclass
class Graph:
    count: int
    nodes: int = 0
    _parts: list[_Part] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.nodes = self.count

    def add(self, source: Ints, target: Ints, kind: int, key: Ints | None = None) -> None:
        """Edges; those from a transaction to itself are left out."""
        if not (good := source != target).all():
            source, target, key = source[good], target[good], None if key is None else key[good]
        self._parts.append(_Part(source.astype(np.int32), target.astype(np.int32), kind, key))

    def mark(self) -> int:
        """For `back_to`, which takes away the edges that were added since."""
        return len(self._parts)

    def back_to(self, mark: int) -> None:
        del self._parts[mark:]

    def fresh(self, number: int) -> Ints:
        """So many new nodes that are no transactions."""
        self.nodes += number
        return np.arange(self.nodes - number, self.nodes)

    def ends(self) -> tuple[Nodes, Nodes]:
        """Of all edges the source and the target."""
        nothing = np.zeros(0, np.int32)
        source = np.concatenate([nothing, *(part.source for part in self._parts)])
        return source, np.concatenate([nothing, *(part.target for part in self._parts)])

    def among(self, label: Nodes) -> tuple[Ints, Ints, Ints, Ints]:
        """Source, target, kind and key of the edges between nodes of one label that is not below 0."""
        found = [part.among(label) for part in self._parts]
        source, target, kind, key = (np.concatenate(columns) for columns in zip(*found, strict=True))
        return source, target, kind, key

    def before_all(self, source: Ints, key: Ints, kind: int, later: tuple[Ints, Ints]) -> None:
        """Each source comes before all of `later` (transactions, keys; sorted by key) on its key, but for itself.

        Two chains of nodes lead to all of a key's: one from each backwards, one from each forwards.
        """
        target, of = later
        if not len(target) or not len(source):
            return
        same = np.zeros(len(of) + 1, bool)
        same[1:-1] = of[1:] == of[:-1]  # is i-1 of the same key?
        back, on = self.fresh(len(of)), self.fresh(len(of))
        for chain in (back, on):
            self.add(chain, target, VIA)
        self.add(back[1:][same[1:-1]], back[:-1][same[1:-1]], VIA)
        self.add(on[:-1][same[1:-1]], on[1:][same[1:-1]], VIA)
        last = np.searchsorted(of, key, side="right") - 1
        there = (last >= 0) & (of[np.maximum(last, 0)] == key)
        source, key, last = source[there], key[there], last[there]
        packed = of * self.nodes + target
        order = np.argsort(packed)
        wanted = key * self.nodes + source
        place = np.minimum(np.searchsorted(packed[order], wanted), len(packed) - 1)
        own = order[place]
        itself = packed[own] == wanted
        self.add(source[~itself], back[last[~itself]], kind, key[~itself])
        source, key, own = source[itself], key[itself], own[itself]
        self.add(source[same[own]], back[own[same[own]] - 1], kind, key[same[own]])
        self.add(source[same[own + 1]], on[(own + 1)[same[own + 1]]], kind, key[same[own + 1]])

    def real_time(self, start: Ints, end: Ints) -> None:
        """What ended before another began comes before it: by a chain of moments."""
        ended = np.flatnonzero(end != NEVER)
        if not len(ended):
            return
        ended = ended[np.argsort(end[ended], kind="stable")]
        moments = self.fresh(len(ended))
        self.add(moments[:-1], moments[1:], VIA)
        self.add(ended, moments, TIME)
        before = np.searchsorted(end[ended], start, side="left") - 1
        later = np.flatnonzero(before >= 0)
        self.add(moments[before[later]], later, VIA)

    def order(self, hint: Ints) -> Ints | None:
        """The transactions in an order that all edges allow, the lower hint first; None where there is none."""
        import heapq

        source, target = self.ends()
        degree = np.bincount(target, minlength=self.nodes).tolist()
        following = Following(self.nodes, source, target)
        hints = [*hint.tolist(), *[-NEVER] * (self.nodes - self.count)]
        ready = [(hints[node], node) for node in range(self.nodes) if not degree[node]]
        heapq.heapify(ready)
        found, seen = [], 0
        while ready:
            _, node = heapq.heappop(ready)
            seen += 1
            if node < self.count:
                found.append(node)
            for _, other in following.of(node):
                degree[other] -= 1
                if not degree[other]:
                    heapq.heappush(ready, (hints[other], other))
        return np.array(found, np.int64) if seen == self.nodes else None


class Following:
    """The edges from each node."""

    def __init__(self, nodes: int, source: Nodes, target: Nodes) -> None:
        self._order, self._target = np.argsort(source, kind="stable"), target
        self._first = np.searchsorted(source[self._order], np.arange(nodes + 1, dtype=source.dtype))
        self._known: dict[int, list[tuple[int, int]]] = {}

    def of(self, node: int) -> list[tuple[int, int]]:
        """Each edge, and where it leads to."""
        if node not in self._known:
            edges = self._order[self._first[node] : self._first[node + 1]]
            self._known[node] = list(zip(edges.tolist(), self._target[edges].tolist(), strict=True))
        return self._known[node]


def components(nodes: int, source: Nodes, target: Nodes) -> Nodes:
    """The strongly connected component of each node; -1 where it is alone."""
    if not len(source):
        return np.full(nodes, -1, np.int32)
    matrix = csr_array((np.ones(len(source)), (source, target)), shape=(nodes, nodes))
    number, label = connected_components(matrix, directed=True, connection="strong")
    if number == nodes:
        return np.full(nodes, -1, np.int32)
    return np.where(np.bincount(label)[label] > 1, label, -1).astype(np.int32)
