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
Nodes = NDArray[np.int32]
WW, WR, RW, TIME, VIA, PROCESS = range(6)  # VIA leads on from a node that is no transaction
KINDS = ("ww", "wr", "rw", "real time", "", "process")
TRIES = 400  # edges from which a cycle of one name is looked for
TRIED = 8  # of so many edges one
MOST_OF_A_NAME = 8
SEVERAL = ("G-nonadjacent", "G2-item")  # cycles with more than one rw


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
            for _, other in following.of(node):
                degree[other] -= 1
                if not degree[other]:
                    heapq.heappush(ready, (hints[other], other))
        return np.array(found, np.int64) if seen == self.nodes else None


class _Following:
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


class Named(NamedTuple):
    """A cycle: its edges, each from the transaction where the one before leads to.

    Without edges it says that there was too much to look through for one of this name.
    """

    name: str
    edges: list[Edge]


def cycles(graph: Graph) -> Iterator[Named]:
    """Some cycles of each name that there is, the shortest that is found from an edge."""
    label = components(graph.nodes, *graph.ends())
    if (label >= 0).any():
        yield from _Cycles(*graph.among(label)).all(graph.count)


def any_cycle(graph: Graph) -> list[Edge]:
    """A short one; empty where there is none."""
    label = components(graph.nodes, *graph.ends())
    return _Cycles(*graph.among(label)).any(graph.count) if (label >= 0).any() else []


class _Cycles:
    """Of the edges inside strongly connected components, with nodes numbered anew."""

    def __init__(self, source: Ints, target: Ints, kind: Ints, key: Ints) -> None:
        self.names, both = np.unique(np.concatenate([source, target]), return_inverse=True)
        self.source: Nodes = both[: len(source)].astype(np.int32)
        self.target: Nodes = both[len(source) :].astype(np.int32)
        self.kind, self.key = kind, key

    def any(self, count: int) -> list[Edge]:
        """The shortest of those that some of the edges are in."""
        following = _Following(len(self.names), self.source, self.target)
        firsts = np.flatnonzero((self.kind != VIA) & (self.names[self.source] < count))[:TRIES:TRIED]
        ways = [
            (first, _path(int(self.target[first]), int(self.source[first]), following))
            for first in firsts.tolist()
        ]
        found = [self._edges([first, *way], count) for first, way in ways if way is not None]
        return min(found, key=len)

    def all(self, count: int) -> Iterator[Named]:
        timeless = self.kind != TIME
        seen: set[frozenset[int]] = set()
        for suffix, allowed in (("", timeless), (" in real time", np.ones(len(self.kind), bool))):
            wws, reads = allowed & (self.kind != WR) & (self.kind != RW), allowed & (self.kind != RW)
            for name, begin, way in (
                ("G0", WW, self._way(wws)), ("G1c", WR, self._way(reads)),
                ("G-single", RW, self._way(reads, allowed)), ("G-nonadjacent", RW, self._apart(allowed)),
                ("G2-item", RW, self._way(allowed)),
            ):  # fmt: skip
                yield from self._named(name + suffix, begin, way, count, seen, bool(suffix))

    def _way(self, allowed: Bools, first: Bools | None = None) -> "_Way":
        """`first` has the edge that a cycle begins with, if `allowed` has not."""
        edges, all_ = np.flatnonzero(allowed), np.flatnonzero(allowed if first is None else first)
        part = components(len(self.names), self.source[all_], self.target[all_])
        return _Way(edges, self.source[edges], self.target[edges], part)

    def _apart(self, allowed: Bools) -> "_Way":
        """Ways on which no rw follows another: each node is there twice, the second time as come to by rw."""
        nodes = len(self.names)
        rw, via = allowed & (self.kind == RW), allowed & (self.kind == VIA)
        other = allowed & ~rw & ~via
        parts = [(rw, 0, nodes), (via, 0, 0), (via, nodes, nodes), (other, 0, 0), (other, nodes, 0)]
        edges = [np.flatnonzero(chosen) for chosen, _, _ in parts]
        source = np.concatenate(
            [self.source[e] + begin for e, (_, begin, _) in zip(edges, parts, strict=True)]
        )
        target = np.concatenate([self.target[e] + end for e, (_, _, end) in zip(edges, parts, strict=True)])
        return _Way(np.concatenate(edges), source, target, components(2 * nodes, source, target), nodes)

    def _named(
        self, name: str, begin: int, way: "_Way", count: int, seen: set[frozenset[int]], timed: bool
    ) -> Iterator[Named]:
        """Cycles that begin with an edge of the kind `begin` and come back by `way` only."""
        found, tried = 0, 0
        for first in np.flatnonzero(self.kind == begin).tolist():
            a, b = int(self.source[first]), int(self.target[first]) + way.entry
            if not way.may_lead(b, a):
                continue
            tried += 1
            if found >= MOST_OF_A_NAME:
                return
            if tried > TRIES:
                yield Named(name, [])
                return
            path = way.path(b, a)
            cycle = None if path is None else [first, *path]
            if cycle is None or frozenset(cycle) in seen or (timed and not (self.kind[cycle] == TIME).any()):
                continue
            seen.add(frozenset(cycle))
            edges = self._edges(cycle, count)
            if name.startswith(SEVERAL) and sum(edge.kind == RW for edge in edges) < 2:
                continue
            found += 1
            yield Named(name if _has_neighbours(edges) else name.replace("G2-item", "G-nonadjacent"), edges)

    def _edges(self, cycle: list[int], count: int) -> list[Edge]:
        """From transaction to transaction: what is between is only on the way."""
        found: list[Edge] = []
        for i in cycle:
            source, target = int(self.names[self.source[i]]), int(self.names[self.target[i]])
            if source < count:
                found.append(Edge(source, target, int(self.kind[i]), int(self.key[i])))
        nexts = [*found[1:], found[0]]
        return [e._replace(target=n.source) for e, n in zip(found, nexts, strict=True)]


def _has_neighbours(cycle: list[Edge]) -> bool:
    """Does one rw follow another?"""
    return any(one.kind == other.kind == RW for one, other in zip(cycle, [*cycle[1:], cycle[0]], strict=True))


class _Way:
    """Some edges, by their numbers; on from a first edge it goes at the target of that + `entry`."""

    def __init__(self, edges: Ints, source: Nodes, target: Nodes, part: Nodes, entry: int = 0) -> None:
        self.entry, self._edges, self._part = entry, edges, part
        self._following = _Following(len(part), source, target)

    def may_lead(self, start: int, goal: int) -> bool:
        return bool(self._part[start] == self._part[goal] >= 0)

    def path(self, start: int, goal: int) -> list[int] | None:
        """The shortest, as numbers of edges."""
        found = _path(start, goal, self._following)
        return None if found is None else self._edges[found].tolist()


def _path(start: int, goal: int, following: _Following) -> list[int] | None:
    """The shortest way, as edges."""
    came: dict[int, tuple[int, int]] = {start: (-1, -1)}  # the node before, and the edge
    todo = deque([start])
    while todo:
        node = todo.popleft()
        if node == goal:
            path = []
            while node != start:
                node, edge = came[node]
                path.append(edge)
            return path[::-1]
        for edge, other in following.of(node):
            if other not in came:
                came[other] = (node, edge)
                todo.append(other)
    return None
