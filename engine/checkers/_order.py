"""An order of a register's operations, from its zones: for a replay to accept, however long the history.

Where zones can be ordered at all (see `_zones`), forward zones do not overlap, and each backward zone has a
moment that lies in no forward one: at that moment all of it can have happened. What cas connects has one zone.
"""

from collections.abc import Sequence

import numpy as np

from engine.checkers._registers import Bools
from engine.checkers._zones import roots
from engine.columns import NEVER, Ints
from engine.replay import Step


def order(steps: Sequence[Step]) -> list[int] | None:
    """Positions in `steps`, whose calls are reads, writes and cas of values that are written once.

    None where they are something else. Whether it is an order is for the replay to say.
    """
    made = _clusters(steps)
    if made is None:
        return None
    cluster, parent = made
    start = 2 * _ranked(steps)[0]
    end = np.where([s.maybe for s in steps], NEVER, 2 * _ranked(steps)[1] + 1)
    there = _happened(cluster, parent, end)
    root, depth = roots(np.where(there, parent, -1))
    if (root[there] < 0).any():
        return None
    taken = there[cluster]
    block = root[cluster]
    low, high = np.full(len(parent), NEVER, np.int64), np.full(len(parent), -1, np.int64)
    np.minimum.at(low, block[taken], end[taken])
    np.maximum.at(high, block[taken], start[taken])
    low[0] = -1  # what was there at first had been written before all
    at = _moments(low, high)
    looks = np.array([s.call[0] == "read" for s in steps], bool)
    found = np.lexsort((start, looks, depth[cluster], block, (low < high)[block], at[block]))
    return [int(i) for i in found[taken[found]]]


def _clusters(steps: Sequence[Step]) -> tuple[Ints, Ints] | None:
    """The number of the value that each wrote or read, and by number that of the value which its cas found, or -1.

    Number 0 is what was there at first.
    """
    numbers: dict[object, int] = {None: 0}
    written: set[object] = set()
    found: dict[object, object] = {}
    for step in steps:
        f, value = step.call[0], step.call[-1]
        if f not in ("read", "write", "cas") or (f != "read" and (value in written or value is None)):
            return None
        if f != "read":
            written.add(value)
        if f == "cas":
            found[value] = step.call[1]
            numbers.setdefault(step.call[1], len(numbers))
        numbers.setdefault(value, len(numbers))
    parent = np.full(len(numbers), -1, np.int64)
    for value, old in found.items():
        parent[numbers[value]] = numbers[old]
    return np.array([numbers[step.call[-1]] for step in steps], np.int64), parent


def _happened(cluster: Ints, parent: Ints, end: Ints) -> Bools:
    """By number: was it answered or read, or does one that was come from it? A pending write need not have happened."""
    there = np.zeros(len(parent), bool)
    there[0] = True
    there[cluster[end != NEVER]] = True
    fresh = np.flatnonzero(there)
    while len(fresh):
        fresh = np.unique(parent[fresh])
        fresh = fresh[fresh >= 0]
        fresh = fresh[~there[fresh]]
        there[fresh] = True
    return there


def _ranked(steps: Sequence[Step]) -> tuple[Ints, Ints]:
    times = np.array([s.start for s in steps] + [s.end for s in steps], np.int64)
    ranks = np.unique(times, return_inverse=True)[1].ravel()
    return ranks[: len(steps)], ranks[len(steps) :]


def _moments(low: Ints, high: Ints) -> Ints:
    """Of a forward zone its begin; of a backward one the first moment of it that is within no forward one."""
    ahead = np.flatnonzero(low < high)
    ahead = ahead[np.argsort(low[ahead])]
    at = np.where(low < high, low, high)
    if len(ahead):
        holder = ahead[np.maximum(np.searchsorted(low[ahead], high) - 1, 0)]
        inside = (low >= high) & (low[holder] < high) & (high < high[holder])
        at[inside] = high[holder[inside]]
    return at
