"""An order of a register's operations, from its zones: for a replay to accept, however long the history.

Where zones can be ordered at all (see `_zones`), forward zones do not overlap, and each backward zone has a
moment that lies in no forward one: at that moment all of it can have happened.
"""

from collections.abc import Sequence

import numpy as np

from engine.columns import NEVER, Ints
from engine.replay import Step


def order(steps: Sequence[Step]) -> list[int] | None:
    """Positions in `steps`, whose calls are reads and writes of values that are written once.

    None where they are something else. Whether it is an order is for the replay to say.
    """
    cluster = _clusters(steps)
    if cluster is None:
        return None
    start = 2 * _ranked(steps)[0]
    end = np.where([s.maybe for s in steps], NEVER, 2 * _ranked(steps)[1] + 1)
    count = int(cluster.max()) + 1 if len(cluster) else 0
    low, high = np.full(count, NEVER, np.int64), np.full(count, -1, np.int64)
    np.minimum.at(low, cluster, end)
    np.maximum.at(high, cluster, start)
    initial = [c for s, c in zip(steps, cluster.tolist(), strict=True) if s.call == ("read", None)]
    low[initial[:1]] = -1  # what was there at first had been written before all
    there = low[cluster] < NEVER  # a pending write that nobody read need not have happened
    at = _moments(low, high)
    looks = np.array([s.call[0] == "read" for s in steps], bool)
    found = np.lexsort((start, looks, cluster, (low < high)[cluster], at[cluster]))
    return [int(i) for i in found[there[found]]]


def _clusters(steps: Sequence[Step]) -> Ints | None:
    """The number of the value that each wrote or read."""
    numbers: dict[object, int] = {}
    written: set[object] = set()
    for step in steps:
        if step.call[0] not in ("read", "write") or (step.call[0] == "write" and step.call[1] in written):
            return None
        if step.call[0] == "write":
            written.add(step.call[1])
        numbers.setdefault(step.call[1], len(numbers))
    return np.array([numbers[step.call[1]] for step in steps], np.int64)


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
