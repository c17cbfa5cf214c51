"""Samples of nodes, and operations -> readings."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.columns import NEVER
from engine.history import History
from engine.samples import Outcome, Samples, Status

Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]


class Readings(NamedTuple):
    """Readings of a service, one for each scheduled time, in order."""

    scheduled: Integers
    completed: Integers
    good: Flags


def readings(samples: Samples, probe: int = 0, mode: str = "any", nodes: int | None = None) -> Readings:
    """The nodes' samples of one probe, joined at each scheduled time.

    With `any`, one good node is enough and the earliest good answer counts; it is bad when the last
    node has said so. With `all`, the latest good answer counts; it is bad when the first node says
    so. Given the number of `nodes`, times whose samples are not all there are left out.
    """
    mine = samples[samples["probe"] == probe]
    scheduled, row, count = np.unique(mine["scheduled"], return_inverse=True, return_counts=True)
    completed = mine["scheduled"] + mine["latency"]
    good = mine["status"] == Status.OK
    lots = len(scheduled)
    goods = np.bincount(row[good], minlength=lots)
    decides_early = good if mode == "any" else ~good  # such a sample settles its reading at once
    early, late = np.full(lots, np.iinfo(np.int64).max), np.zeros(lots, np.int64)
    np.minimum.at(early, row[decides_early], completed[decides_early])
    np.maximum.at(late, row, completed)
    settled = early < np.iinfo(np.int64).max
    joined = Readings(
        scheduled, np.where(settled, early, late), goods > 0 if mode == "any" else goods == count
    )
    if nodes is None:
        return joined
    whole = count >= nodes
    return Readings(joined.scheduled[whole], joined.completed[whole], joined.good[whole])


def of_node(samples: Samples, node: int, probe: int = 0) -> Readings:
    """The readings of one node alone; one that leaves to another what it was asked for is well."""
    mine = np.sort(samples[(samples["probe"] == probe) & (samples["node"] == node)], order="scheduled")
    well = np.isin(mine["status"], (Status.OK, Status.STANDBY))
    return Readings(mine["scheduled"], mine["scheduled"] + mine["latency"], well)


def of_operations(history: History) -> Readings:
    """The operations as readings: an acknowledged one is good. One that never ended is bad when it was called."""
    c = history.columns
    order = np.argsort(c.invoked, kind="stable")
    completed = np.where(c.completed == NEVER, c.invoked, c.completed)
    return Readings(c.invoked[order], completed[order], (c.outcome == Outcome.OK)[order])
