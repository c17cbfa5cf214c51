"""Cycles of what must come before what, and their names by Adya (1999) and Elle (2020)."""

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order

from engine.checkers._graph import RW, TIME, VIA, WR, WW, Bools, Edge, Following, Graph, Nodes, components
from engine.columns import NEVER, Ints

TRIES = 400  # edges from which a cycle of one name is looked for
TRIED = 4  # edges of which the shortest cycle is told
MOST_OF_A_NAME = 8
SEVERAL = ("G-nonadjacent", "G2-item")  # cycles with more than one rw


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


def any_cycle(graph: Graph, moment: Ints) -> list[Edge]:
    """A short one; empty where there is none. `moment` of each transaction: a cycle leads back in time somewhere."""
    label = components(graph.nodes, *graph.ends())
    if not (label >= 0).any():
        return []
    return _Cycles(*graph.among(label)).any(graph.count, moment)


class _Cycles:
    """Of the edges inside strongly connected components, with nodes numbered anew."""

    def __init__(self, source: Ints, target: Ints, kind: Ints, key: Ints) -> None:
        self.names, both = np.unique(np.concatenate([source, target]), return_inverse=True)
        self.source: Nodes = both[: len(source)].astype(np.int32)
        self.target: Nodes = both[len(source) :].astype(np.int32)
        self.kind, self.key = kind, key

    def any(self, count: int, moment: Ints) -> list[Edge]:
        """The shortest of those that the edges are in which lead furthest back in time."""
        at = np.full(len(self.names), NEVER, np.int64)
        known = self.names < count
        at[known] = moment[self.names[known]]
        np.minimum.at(at, self.source, np.where(known[self.source], NEVER, at[self.target]))
        back = np.where(known[self.source], at[self.source] - at[self.target], -NEVER)
        packed = self.source.astype(np.int64) * len(self.names) + self.target
        _, edges = np.unique(packed, return_index=True)  # one of several between the same two
        shape = (len(self.names), len(self.names))
        matrix = csr_array((edges + 1, (self.source[edges], self.target[edges])), shape=shape)
        found = []
        for first in np.argsort(-back, kind="stable")[:TRIED].tolist():
            node, start = int(self.source[first]), int(self.target[first])
            _, before = breadth_first_order(matrix, start)
            way: list[int] = []
            while node != start:
                way.append(int(matrix[before[node], node]) - 1)
                node = int(before[node])
            found.append(self._edges([first, *way[::-1]], count))
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
        inside = np.flatnonzero((part[source] == part[target]) & (part[source] >= 0))  # no cycle leads out
        self.entry, self._edges, self._part = entry, edges[inside], part
        self._following = Following(len(part), source[inside], target[inside])

    def may_lead(self, start: int, goal: int) -> bool:
        return bool(self._part[start] == self._part[goal] >= 0)

    def path(self, start: int, goal: int) -> list[int] | None:
        """The shortest, as numbers of edges."""
        found = _path(start, goal, self._following)
        return None if found is None else self._edges[found].tolist()


def _path(start: int, goal: int, following: Following) -> list[int] | None:
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
