"""Samples -> readings of the service, summaries per interval, and log-bucket histograms.

Availability counts every reading. Latencies (p50, p99, max) are those of good readings, from their
scheduled times: a refused connection is fast and no merit. Quantiles are exact here (nearest rank).
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.clock import NS
from engine.samples import Outcome, Samples, Status

Integers = NDArray[np.int64]
Reals = NDArray[np.float64]
Flags = NDArray[np.bool_]


class Readings(NamedTuple):
    """Readings of a service, one for each scheduled time, in order."""

    scheduled: Integers
    completed: Integers
    good: Flags


class Bins(NamedTuple):
    """One entry an interval; latencies in seconds, nan where no reading was good."""

    good: Integers
    total: Integers
    p50: Reals
    p99: Reals
    max: Reals


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


def bins(found: Readings, start_ns: int, width_ns: int, count: int) -> Bins:
    """Summaries of the `count` intervals from `start_ns` on, by scheduled time."""
    place = (found.scheduled - start_ns) // width_ns
    inside = (place >= 0) & (place < count)
    place, good = place[inside], found.good[inside]
    latency = (found.completed - found.scheduled)[inside][good] / NS
    p50, p99, most = quantiles(place[good], latency, count, (0.5, 0.99, 1.0))
    return Bins(
        np.bincount(place[good], minlength=count), np.bincount(place, minlength=count), p50, p99, most
    )  # fmt: skip


def quantiles(place: Integers, values: Reals, count: int, shares: Sequence[float]) -> list[Reals]:
    """For each share, the quantile of the values at each place (nearest rank); nan without values."""
    sizes = np.bincount(place, minlength=count)
    starts = np.cumsum(sizes) - sizes
    ordered = np.append(values[np.lexsort((values, place))], math.nan)
    result = []
    for share in shares:
        rank = np.maximum(np.ceil(sizes * share - 1e-9).astype(np.int64), 1) - 1
        result.append(ordered[np.where(sizes > 0, starts + rank, len(values))])
    return result


def summarise(
    samples: Samples,
    start_ns: int,
    width_ns: int,
    count: int,
    *,
    probes: Mapping[str, str],
    nodes: Sequence[str],
    ops: Samples | None = None,
    origin_ns: int | None = None,
) -> list[dict[str, Any]]:
    """The data of `count` interval events from `start_ns` on.

    `probes` maps names to `any` or `all`, in the order of the samples' probe numbers; `nodes` are
    names in the order of node numbers; times are told from `origin_ns` (else `start_ns`).
    """
    origin = start_ns if origin_ns is None else origin_ns
    end_ns = start_ns + width_ns * count
    samples = samples[(samples["scheduled"] >= start_ns) & (samples["scheduled"] < end_ns)]
    by_probe = [
        (name, bins(readings(samples, i, mode), start_ns, width_ns, count))
        for i, (name, mode) in enumerate(probes.items())
    ]
    good, total = _by_node(samples, start_ns, width_ns, count, len(nodes))
    told = None if ops is None else _operations(ops, start_ns, width_ns, count)
    return [
        {
            "t": (start_ns - origin + i * width_ns) / NS,
            "width": width_ns / NS,
            "probes": {name: _row(found, i) for name, found in by_probe},
            "nodes": {n: {"good": int(good[i, j]), "total": int(total[i, j])} for j, n in enumerate(nodes)},
            "ops": told[i] if told else None,
        }
        for i in range(count)
    ]


def _row(found: Bins, i: int) -> dict[str, Any]:
    return {
        "good": int(found.good[i]),
        "total": int(found.total[i]),
        "p50": _seconds(found.p50[i]),
        "p99": _seconds(found.p99[i]),
        "max": _seconds(found.max[i]),
    }


def _seconds(value: float) -> float | None:
    return None if math.isnan(value) else round(float(value), 9)


def _by_node(
    samples: Samples, start_ns: int, width_ns: int, count: int, nodes: int
) -> tuple[Integers, Integers]:
    place = (samples["scheduled"] - start_ns) // width_ns * nodes + samples["node"]
    total = np.bincount(place, minlength=count * nodes)
    good = np.bincount(place[samples["status"] == Status.OK], minlength=count * nodes)
    return good.reshape(count, nodes), total.reshape(count, nodes)


def _operations(ops: Samples, start_ns: int, width_ns: int, count: int) -> list[dict[str, Any] | None]:
    """By the time of completion, so that an interval once told is final."""
    place = (ops["scheduled"] + ops["latency"] - start_ns) // width_ns
    inside = (place >= 0) & (place < count)
    ops, place = ops[inside], place[inside]
    by_outcome = [np.bincount(place[ops["status"] == o], minlength=count) for o in Outcome]
    ok = ops["status"] == Outcome.OK
    p50, p99 = quantiles(place[ok], ops["latency"][ok] / NS, count, (0.5, 0.99))
    return [
        {
            **{o.name.lower(): int(by_outcome[o][i]) for o in Outcome},
            "p50": _seconds(p50[i]),
            "p99": _seconds(p99[i]),
        }
        if sum(column[i] for column in by_outcome)
        else None
        for i in range(count)
    ]


class Histogram:
    """Counts in buckets that grow by 0.98 %: merged by adding, a quantile is within 0.5 %."""

    GROWTH = math.log(1.0098)
    LEAST = 1e-6  # seconds; the first bucket holds all that is shorter

    def __init__(self, counts: Integers | None = None) -> None:
        self.counts = np.zeros(0, np.int64) if counts is None else counts

    @classmethod
    def of(cls, seconds: Reals) -> "Histogram":
        place = np.log(np.maximum(seconds, cls.LEAST) / cls.LEAST) / cls.GROWTH
        return cls(np.bincount(place.astype(np.int64)) if len(seconds) else None)

    def __add__(self, other: "Histogram") -> "Histogram":
        result = np.zeros(max(len(self.counts), len(other.counts)), np.int64)
        result[: len(self.counts)] += self.counts
        result[: len(other.counts)] += other.counts
        return Histogram(result)

    @property
    def total(self) -> int:
        return int(self.counts.sum())

    def quantile(self, share: float) -> float | None:
        """In seconds; None without values."""
        if not self.total:
            return None
        rank = max(math.ceil(self.total * share - 1e-9), 1)
        bucket = int(np.searchsorted(np.cumsum(self.counts), rank))
        return self.LEAST * math.exp((bucket + 0.5) * self.GROWTH)

    def to_dict(self) -> dict[str, int]:
        """Bucket -> count, empty buckets left out."""
        return {str(i): int(self.counts[i]) for i in np.flatnonzero(self.counts)}

    @classmethod
    def from_dict(cls, data: Mapping[str, int]) -> "Histogram":
        result = np.zeros(max(map(int, data), default=-1) + 1, np.int64)
        for bucket, count in data.items():
            result[int(bucket)] = count
        return cls(result)
