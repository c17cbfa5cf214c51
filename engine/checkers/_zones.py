"""Registers whose written values are unique: near-linear, for all keys at once (Gibbons and Korach, 1997).

What is written and all reads of it are a cluster, which must stand together in any order: its first end
and its last start are its zone. A cas that succeeded stands right behind the cluster of its old value, so
clusters that cas connects are one block. Blocks can be ordered if and only if no two forward zones (first
end before last start) overlap and no forward zone holds a backward one.

An answer is a key that is violated, with rows that show it, or a key that only a search can judge.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from engine.checkers._registers import Bools, Registers, Words, registers, times
from engine.columns import NONE, Columns, Ints
from engine.samples import Outcome

SHOWN = 16  # violated keys of which the rows are told


@dataclass
class Zones:
    hard: Ints  # codes of keys that only a search can judge
    violated: dict[int, Ints] = field(default_factory=dict)  # key -> rows that cannot be ordered
    others: int = 0  # violated keys beyond SHOWN


class _Clusters(NamedTuple):
    """By cluster; times are doubled so that equal ones are concurrent. The first `writes` have a writing row."""

    key: Ints
    low: Ints  # first end
    high: Ints  # last start
    row: Ints  # the row that wrote it, -1 for what was there at first


def zones(c: Columns, words: Words) -> Zones:
    """Of all keys; what the algorithm is not about is hard."""
    return _Judged(c, registers(c, words)).zones()


class _Judged:
    def __init__(self, c: Columns, made: Registers) -> None:
        self.c, self.hard = c, made.hard
        self.started, self.ended, self.span = times(c, len(c) if (made.old >= 0).any() else 0)
        self.found: dict[int, Ints] = {}
        self.all_keys: set[int] = set()
        rows, read = made.rows, made.read
        if self.hard.any():
            rows, read = rows[~self.hard[c.key[rows]]], read & ~self.hard[c.key]
        self.rows, self.new, self.old = rows, made.new[rows], made.old[rows]
        self.reads = np.flatnonzero(read)
        self._index_writers()
        self.cluster = self._cluster_of(c.key[self.reads], c.result[self.reads])
        self.block_of: Ints | None = None

    def _index_writers(self) -> None:
        """The cluster of each value; or pairs of key and value in their order, where values are shared."""
        self.shared = len(self.new) > 0 and bool(np.bincount(self.new).max() > 1)
        if self.shared:
            pairs = self.c.key[self.rows] * len(self.c.values) + self.new
            self.order = np.argsort(pairs)
            self.pairs = pairs[self.order]
        else:
            self.writer = np.full(len(self.c.values), -1, np.int64)
            self.writer[self.new] = np.arange(len(self.new))

    def _cluster_of(self, key: Ints, value: Ints) -> Ints:
        """-1 where nobody wrote it; null is what was there at first, in a cluster behind those of the rows."""
        if not len(self.rows):
            found = np.full(len(key), -1, np.int64)
        elif self.shared:
            wanted = key * len(self.c.values) + value
            place = np.minimum(np.searchsorted(self.pairs, wanted), len(self.pairs) - 1)
            found = np.where(self.pairs[place] == wanted, self.order[place], -1)
        else:
            found = self.writer[value]
            if len(self.c.keys) > 2:
                found = np.where(self.c.key[self.rows][found] == key, found, -1)
        return np.where(value == NONE, len(self.rows) + key, found)

    def zones(self) -> Zones:
        if not (kept := self.cluster >= 0).all():
            unwritten = self.reads[~kept]
            self._note(unwritten, lambda i: unwritten[[i]])
            self.reads, self.cluster = self.reads[kept], self.cluster[kept]
        clusters = self._clusters(self.reads, self.cluster)
        self._too_early(clusters)
        if (self.old >= 0).any():
            seen = np.zeros(len(clusters.key), bool)
            seen[self.cluster] = True
            self._overlaps(*self._chained(clusters, seen))
        else:  # a pending write that nobody read has no end: no zone can hold its own
            self._overlaps(clusters, None)
        return Zones(np.flatnonzero(self.hard), self.found, len(self.all_keys) - len(self.found))

    def _too_early(self, clusters: _Clusters) -> None:
        """Reads that ended before what they read was called."""
        start = self.started[self.rows]
        if (clusters.low[: len(start)] >= start).all():
            return
        start = np.concatenate([start, np.zeros(len(self.c.keys), np.int64)])
        early = np.flatnonzero(self.ended[self.reads] < start[self.cluster])
        self._note(
            self.reads[early],
            lambda i: np.array([self.rows[self.cluster[early[i]]], self.reads[early[i]]]),
        )

    def _clusters(self, reads: Ints, cluster: Ints) -> _Clusters:
        rows, keys = len(self.rows), len(self.c.keys)
        low, high = np.ones(rows + keys, np.int64), np.zeros(rows + keys, np.int64)
        low[:rows], high[:rows] = self.ended[self.rows], self.started[self.rows]
        np.minimum.at(low, cluster, self.ended[reads])
        np.maximum.at(high, cluster, self.started[reads])
        key = np.concatenate([self.c.key[self.rows], np.arange(keys)])
        return _Clusters(key, low, high, np.concatenate([self.rows, np.full(keys, -1)]))

    def _note(self, rows: Ints, core: Callable[[int], Ints]) -> None:
        """Keeps for the key of each row what `core` gives for its position, unless the key has its own."""
        for i, key in enumerate(self.c.key[rows].tolist()):
            if key not in self.all_keys:
                self.all_keys.add(key)
                if len(self.found) < SHOWN:
                    self.found[key] = core(i)

    # Chains of cas

    def _chained(self, clusters: _Clusters, seen: Bools) -> tuple[_Clusters, Ints]:
        """Blocks of clusters that cas connects, of what certainly happened; and the block of each cluster."""
        rows = len(self.rows)
        parent = np.full(len(clusters.key), -1, np.int64)
        cas = np.flatnonzero(self.old >= 0)
        parent[cas] = self._cluster_of(clusters.key[cas], self.old[cas])
        needed = seen.copy()
        needed[:rows] |= self.c.outcome[self.rows] == Outcome.OK
        fresh = needed.copy()
        while fresh.any():
            ups = parent[np.flatnonzero(fresh)]
            fresh[:] = False
            fresh[ups[ups >= 0]] = True
            fresh &= ~needed
            needed |= fresh
        self._impossible_cas(cas[needed[cas]], parent)
        root, depth = roots(np.where(needed, parent, -1))
        loops = np.flatnonzero(root < 0)
        self._note(clusters.row[loops], lambda i: self._evidence(loops[[i]], cas[needed[cas]], parent))
        chosen = np.flatnonzero(needed & (root >= 0))
        chosen = chosen[np.lexsort((depth[chosen], root[chosen]))]
        return self._blocks(clusters, chosen, root[chosen])

    def _impossible_cas(self, cas: Ints, parent: Ints) -> None:
        """From a value that nobody wrote, or two from the same one."""
        orphans = cas[parent[cas] < 0]
        self._note(self.rows[orphans], lambda i: self._evidence(orphans[[i]], cas, parent))
        order = cas[np.argsort(parent[cas], kind="stable")]
        twice = np.flatnonzero((parent[order][1:] == parent[order][:-1]) & (parent[order][1:] >= 0))
        self._note(
            self.rows[order[twice]], lambda i: self._evidence(order[[twice[i], twice[i] + 1]], cas, parent)
        )

    def _evidence(self, clusters: Ints, cas: Ints, parent: Ints) -> Ints:
        """What wrote these clusters, all that they come from, and what shows that they happened."""
        found: list[int] = []
        for cluster in clusters.tolist():
            up = cluster
            while up >= 0 and up not in found:
                found.append(up)
                up = int(parent[up])
            while not self._shown(cluster):
                cluster = int(cas[parent[cas] == cluster][0])
                if cluster in found:
                    break
                found.append(cluster)
        return self._members(np.array(found, np.int64))

    def _shown(self, cluster: int) -> bool:
        answered = self.c.outcome[self.rows[cluster]] == Outcome.OK
        return bool(answered or (self.cluster == cluster).any())

    def _blocks(self, clusters: _Clusters, chosen: Ints, root: Ints) -> tuple[_Clusters, Ints]:
        first = np.ones(len(chosen), bool)
        first[1:] = root[1:] != root[:-1]
        low, high, key = clusters.low[chosen], clusters.high[chosen], clusters.key[chosen]
        block = np.cumsum(first) - 1
        latest = np.maximum.accumulate(block * self.span + high) - block * self.span
        late = np.flatnonzero((low[1:] < latest[:-1]) & ~first[1:]) + 1
        heads = np.flatnonzero(first)
        self._note(clusters.row[chosen[late]], lambda i: self._members(chosen[block == block[late[i]]]))
        self.block_of = np.full(len(clusters.key), -1, np.int64)
        self.block_of[chosen] = block
        if not len(heads):
            return _Clusters(key, low, high, clusters.row[chosen]), chosen
        return _Clusters(
            key[heads], np.minimum.reduceat(low, heads), np.maximum.reduceat(high, heads),
            clusters.row[chosen[heads]],
        ), np.arange(len(heads))  # fmt: skip

    def _members(self, clusters: Ints) -> Ints:
        """The rows that wrote these clusters, and of the reads of each the first to end and the last to start."""
        found = [self.rows[clusters[clusters < len(self.rows)]]]
        for cluster in clusters:
            reads = self.reads[self.cluster == cluster]
            if len(reads):
                found.append(reads[[np.argmin(self.ended[reads]), np.argmax(self.started[reads])]])
        return np.unique(np.concatenate(found))

    # Zones

    def _overlaps(self, clusters: _Clusters, number: Ints | None) -> None:
        """`number` is which cluster, or with chains which block, each is; None where each is itself."""
        low, high, many = clusters.low, clusters.high, len(self.c.keys) > 2
        if many:
            low, high = low + clusters.key * self.span, high + clusters.key * self.span
        forward = low < high
        ahead, behind = np.flatnonzero(forward), np.flatnonzero(~forward)
        begins = low[ahead]
        order = np.argsort(begins)
        ahead, begins = ahead[order], begins[order]
        ends = high[ahead]
        both = np.flatnonzero(begins[1:] < ends[:-1])
        self._note_keys(clusters, number, ahead[both], ahead[both + 1])
        if not len(ahead) or not len(behind):
            return
        wanted = high[behind]
        if many:  # searched in their order, neighbours are in the cache; those of one key nearly are
            order = np.argsort(wanted)
            behind, wanted = behind[order], wanted[order]
        holder = np.searchsorted(begins, wanted) - 1
        inside = (holder >= 0) & (ends[holder] > low[behind])
        self._note_keys(clusters, number, ahead[holder[inside]], behind[inside])

    def _note_keys(self, clusters: _Clusters, number: Ints | None, one: Ints, other: Ints) -> None:
        for a, b in zip(one.tolist(), other.tolist(), strict=True):
            key = int(clusters.key[a])
            if key not in self.all_keys:
                self.all_keys.add(key)
                if len(self.found) < SHOWN:
                    pair = np.array([a, b]) if number is None else number[[a, b]]
                    if self.block_of is not None:
                        pair = np.flatnonzero(np.isin(self.block_of, pair))
                    self.found[key] = self._members(pair)


def roots(parent: Ints) -> tuple[Ints, Ints]:
    """Of each the end of its line of parents, or -1 where the line is a loop; and how many are between."""
    up, depth = np.where(parent >= 0, parent, np.arange(len(parent))), (parent >= 0).astype(np.int64)
    for _ in range(len(parent).bit_length() + 1):
        depth = depth + depth[up]
        up = up[up]
    return np.where(parent[up] >= 0, -1, up), depth
