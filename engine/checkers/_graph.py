"""Which transaction must come before which, as columns of edges; cycles in them, and their names.

Nodes below `count` are transactions; those above stand for "all that come next on a key" or for a moment.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from engine.columns import NEVER, Ints

Bools = NDArray[np.bool_]
WW, WR, RW, TIME, VIA = range(5)  # VIA leads on from a node that is no transaction
KINDS = ("ww", "wr", "rw", "real time", "")
TRIES = 400  # edges from which a cycle of one name is looked for
MOST_OF_A_NAME = 8


class Edge(NamedTuple):
    source: int
    target: int
    kind: int
    key: int


@dataclass
class Graph:
    count: int
    nodes: int = 0
    _parts: list[tuple[Ints, Ints, Ints, Ints]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.nodes = self.count

    def add(self, source: Ints, target: Ints, kind: int, key: Ints | None = None) -> None:
        """Edges; those from a transaction to itself are left out."""
        good = source != target
        number = int(good.sum())
        keys = np.full(number, -1, np.int64) if key is None else key[good]
        self._parts.append((source[good], target[good], np.full(number, kind, np.int64), keys))

    def mark(self) -> int:
        """For `back_to`, which takes away the edges that were added since."""
        return len(self._parts)

    def back_to(self, mark: int) -> None:
        del self._parts[mark:]

    def fresh(self, number: int) -> Ints:
        """So many new nodes that are no transactions."""
        self.nodes += number
        return np.arange(self.nodes - number, self.nodes)

    def columns(self) -> tuple[Ints, Ints, Ints, Ints]:
        parts = zip(*self._parts, strict=True)
        source, target, kind, key = (np.concatenate(part) for part in parts) if self._parts else _no_edges()
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

        source, target, _, _ = self.columns()
        degree = np.bincount(target, minlength=self.nodes).tolist()
        following = _Following(self.nodes, source, target)
        hints = [*hint.tolist(), *[-NEVER] * (self.nodes - self.count)]
        ready = [(hints[node], node) for node in range(self.nodes) if not degree[node]]
        heapq.heapify(ready)
        found, seen = [], 0
        while ready:
            _, node = heapq.heappop(ready)
            seen += 1
            if node < self.count:
                found.append(node)
            for edge in following.of(node):
                other = int(target[edge])
                degree[other] -= 1
                if not degree[other]:
                    heapq.heappush(ready, (hints[other], other))
        return np.array(found, np.int64) if seen == self.nodes else None


def _no_edges() -> tuple[Ints, Ints, Ints, Ints]:
    nothing = np.zeros(0, np.int64)
    return nothing, nothing, nothing, nothing


class _Following:
    """The edges from each node."""

    def __init__(self, nodes: int, source: Ints, target: Ints) -> None:
        self._order = np.argsort(source, kind="stable")
        self._first = np.searchsorted(source[self._order], np.arange(nodes + 1))

    def of(self, node: int) -> list[int]:
        found: list[int] = self._order[self._first[node] : self._first[node + 1]].tolist()
        return found


def components(nodes: int, source: Ints, target: Ints) -> Ints:
    """The strongly connected component of each node; -1 where it is alone."""
    if not len(source):
        return np.full(nodes, -1, np.int64)
    matrix = csr_array((np.ones(len(source), np.int8), (source, target)), shape=(nodes, nodes))
    _, label = connected_components(matrix, directed=True, connection="strong")
    label = label.astype(np.int64)
    return np.where(np.bincount(label)[label] > 1, label, -1)


class Named(NamedTuple):
    """A cycle: its edges, each from the transaction where the one before leads to.

    Without edges it says that there was too much to look through for one of this name.
    """

    name: str
    edges: list[Edge]


def cycles(graph: Graph) -> Iterator[Named]:
    """Some cycles of each name that there is, the shortest that is found from an edge."""
    source, target, kind, key = graph.columns()
    part = components(graph.nodes, source, target)
    inside = (part[source] >= 0) & (part[source] == part[target])
    if not inside.any():
        return
    yield from _Cycles(*(column[inside] for column in (source, target, kind, key))).all(graph.count)


class _Cycles:
    """Of the edges inside strongly connected components, with nodes numbered anew."""

    def __init__(self, source: Ints, target: Ints, kind: Ints, key: Ints) -> None:
        self.names, both = np.unique(np.concatenate([source, target]), return_inverse=True)
        self.source, self.target = both[: len(source)], both[len(source) :]
        self.kind, self.key = kind, key

    def all(self, count: int) -> Iterator[Named]:
        timeless = self.kind != TIME
        seen: set[frozenset[int]] = set()
        for suffix, allowed in (("", timeless), (" in real time", np.ones(len(self.kind), bool))):
            wws, reads = allowed & (self.kind != WR) & (self.kind != RW), allowed & (self.kind != RW)
            for name, begin, way in (
                ("G0", WW, wws), ("G1c", WR, reads), ("G-single", RW, reads), ("G2", RW, allowed),
            ):  # fmt: skip
                yield from self._named(name + suffix, begin, way, count, seen, bool(suffix))

    def _named(
        self, name: str, begin: int, way: Bools, count: int, seen: set[frozenset[int]], timed: bool
    ) -> Iterator[Named]:
        """Cycles that begin with an edge of the kind `begin` and come back by edges of `way` only."""
        part = components(len(self.names), self.source[way], self.target[way])
        following = _Following(len(self.names), self.source[way], self.target[way])
        edges = np.flatnonzero(way)
        found, tried = 0, 0
        for first in np.flatnonzero(self.kind == begin).tolist():
            a, b = int(self.source[first]), int(self.target[first])
            if part[a] < 0 and begin != RW:
                continue
            if begin != RW and part[a] != part[b]:
                continue
            tried += 1
            if found >= MOST_OF_A_NAME:
                return
            if tried > TRIES:
                yield Named(name, [])
                return
            path = self._path(b, a, following, edges)
            cycle = None if path is None else [first, *path]
            if cycle is None or frozenset(cycle) in seen or (timed and not (self.kind[cycle] == TIME).any()):
                continue
            seen.add(frozenset(cycle))
            if name.startswith("G2") and (self.kind[cycle] == RW).sum() < 2:
                continue
            found += 1
            yield Named(name, self._edges(cycle, count))

    def _path(self, start: int, goal: int, following: _Following, edges: Ints) -> list[int] | None:
        """The shortest way, as edges."""
        came: dict[int, int] = {start: -1}
        todo = deque([start])
        while todo:
            node = todo.popleft()
            if node == goal:
                path = []
                while came[node] >= 0:
                    path.append(came[node])
                    node = int(self.source[came[node]])
                return path[::-1]
            for i in following.of(node):
                edge = int(edges[i])
                other = int(self.target[edge])
                if other not in came:
                    came[other] = edge
                    todo.append(other)
        return None

    def _edges(self, cycle: list[int], count: int) -> list[Edge]:
        """From transaction to transaction: what is between is only on the way."""
        found: list[Edge] = []
        for i in cycle:
            source, target = int(self.names[self.source[i]]), int(self.names[self.target[i]])
            if source < count:
                found.append(Edge(source, target, int(self.kind[i]), int(self.key[i])))
        nexts = [*found[1:], found[0]]
        return [e._replace(target=n.source) for e, n in zip(found, nexts, strict=True)]
