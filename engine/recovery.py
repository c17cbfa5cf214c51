"""Readings and fault windows -> when it broke, when it was noticed, how long until it was steady again.

All functions are pure; times are nanoseconds of one monotonic clock. A reading is one scheduled look
at the service: `scheduled`, `completed` (int64) and `good` (bool), one entry each, by scheduled time.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engine.series import Readings
from engine.tolerance import Tolerance

Times = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Outage:
    """From the scheduled time of the first bad reading to the completion of the next good one.

    `end_ns` is None where no good reading followed. The service may have failed at any time since the
    reading before, and answered at any time since the one before the last: `uncertainty_ns` is the
    larger of the two distances.
    """

    start_ns: int
    end_ns: int | None
    uncertainty_ns: int


@dataclass(frozen=True)
class Recovered:
    """Times to detect and recover in nanoseconds; None where it never happened.

    `broken` is False where no reading after the injection was out of tolerance.
    """

    broken: bool
    detect: int | None
    from_injected: int | None
    from_healed: int | None
    uncertainty: int


@dataclass(frozen=True)
class Resumed:
    """When traffic passed again after a cut was taken back; None where nobody saw it pass again.

    `stopped` is False where it was passing when the cut began to be taken back: then nothing resumed. Nothing
    had passed `uncertainty_ns` before `at_ns`; in between nobody looked.
    """

    stopped: bool
    at_ns: int | None
    uncertainty_ns: int


def in_time(readings: Readings, tolerance: Tolerance) -> Readings:
    """The readings, of which those slower than the tolerance's `max` or `p99` are bad.

    A slow reading is known to be bad when the bound has passed, and is `completed` then.
    """
    bounds = [b for m in ("max", "p99") if (b := tolerance.bound(m)) is not None]
    if not bounds:
        return readings
    latest = readings.scheduled + int(min(bounds) * 1e9)
    good = readings.good & (readings.completed <= latest)
    completed = np.where(good, readings.completed, np.minimum(readings.completed, latest))
    return Readings(readings.scheduled, completed, good)


def outages(readings: Readings) -> list[Outage]:
    """Every stretch of bad readings, in order."""
    good = readings.good
    if not len(good):
        return []
    edges = np.diff(np.concatenate(([True], good, [True])).astype(np.int8))
    starts, ends = np.flatnonzero(edges == -1), np.flatnonzero(edges == 1)
    return [_outage(readings, int(a), int(b)) for a, b in zip(starts, ends, strict=True)]


def _outage(readings: Readings, first: int, after: int) -> Outage:
    scheduled, completed = readings.scheduled, readings.completed
    start = int(scheduled[first])
    before = start - int(scheduled[first - 1]) if first else 0
    if after >= len(scheduled):
        return Outage(start, None, before)
    # The first answer to arrive shows that it is back: a queue may answer a later reading earlier.
    end = int(completed[after:][readings.good[after:]][:1000].min())
    step = int(scheduled[after]) - int(scheduled[after - 1])
    return Outage(start, max(end, start), max(before, step))


def availability(readings: Readings, start: int | None = None, end: int | None = None) -> float | None:
    """The share of good readings scheduled in [start, end); None without any."""
    chosen = readings.good[_between(readings.scheduled, start, end)]
    return float(chosen.mean()) if len(chosen) else None


def measures(readings: Readings) -> dict[str, float | None]:
    """Every measure of `engine.tolerance`; latencies in seconds, from the scheduled times.

    They are those of good readings: a refused connection is fast, and no merit.
    """
    latency = (readings.completed - readings.scheduled)[readings.good]
    names, quantiles = ("p50", "p99", "max"), (50, 99, 100)
    found: dict[str, float | None] = {"availability": availability(readings), **dict.fromkeys(names)}
    if len(latency):
        values = np.percentile(latency, quantiles) / 1e9
        found.update({name: round(float(v), 6) for name, v in zip(names, values, strict=True)})
    return found


def _between(times: Times, start: int | None, end: int | None) -> Flags:
    chosen = np.ones(len(times), dtype=bool)
    if start is not None:
        chosen &= times >= start
    if end is not None:
        chosen &= times < end
    return chosen


def steady_from(readings: Readings, tolerance: Tolerance, stable: int) -> Flags:
    """For each reading: is it good, and does the tolerance hold for `stable` ns from it on?

    Readings later than `stable` before the last one are False: nobody saw the end of their window.
    A quantile's bound is held as a share: p99 <= b means that at most 1 % are slower than b.
    """
    scheduled = readings.scheduled
    if not len(scheduled):
        return np.zeros(0, dtype=bool)
    ends = np.searchsorted(scheduled, scheduled + stable)
    counts = ends - np.arange(len(scheduled))
    good = in_time(readings, tolerance).good
    result = good & (scheduled + stable <= scheduled[-1] + _interval(scheduled))
    latency = readings.completed - scheduled
    shares = {"p50": 0.5, "p99": 0.01, "max": 0.0}
    for comparison in tolerance.comparisons:
        if comparison.measure == "availability":
            bad, allowed = ~good, 1 - comparison.bound
        else:
            bad, allowed = latency > comparison.bound * 1e9, shares[comparison.measure]
        total = np.concatenate(([0], np.cumsum(bad)))
        result &= total[ends] - total[:-1] <= allowed * counts + 1e-9
    return np.asarray(result, dtype=bool)


def _interval(scheduled: Times) -> int:
    return int(np.median(np.diff(scheduled))) if len(scheduled) > 1 else 0


def recover(
    readings: Readings, tolerance: Tolerance, injected: int, healed: int | None, stable: int
) -> Recovered:
    """How the service took a fault injected at `injected` and healed at `healed` (None: not healed)."""
    judged = in_time(readings, tolerance)
    scheduled, completed = judged.scheduled, judged.completed
    uncertainty = _interval(scheduled)
    bad = np.flatnonzero((scheduled >= injected) & ~judged.good)
    if not len(bad):
        return Recovered(False, None, None, None if healed is None else 0, uncertainty)
    first = int(bad[0])
    steady = steady_from(readings, tolerance, stable)
    back = np.flatnonzero(steady & (scheduled > scheduled[first]))
    from_injected = int(completed[back[0]]) - injected if len(back) else None
    return Recovered(
        broken=True,
        detect=int(completed[bad].min()) - injected,
        from_injected=from_injected,
        from_healed=_from_healed(judged, steady, healed),
        uncertainty=uncertainty,
    )


def _from_healed(readings: Readings, steady: Flags, healed: int | None) -> int | None:
    """0 where it was steady already when it was healed."""
    if healed is None:
        return None
    after = np.flatnonzero(readings.scheduled >= healed)
    if not len(after):
        return None
    if steady[after[0]]:
        return 0
    back = after[steady[after]]
    return int(readings.completed[back[0]]) - healed if len(back) else None


def resumed(traffic: Readings, injected: int, healing: int) -> Resumed:
    """When what had been stopped since `injected` passed again; it began to be taken back at `healing`.

    The first good answer that arrives shows it, also one to something sent while it was cut: after a cut a
    TCP connection goes on at its sender's next retransmission, later than the rule is gone.
    """
    scheduled, completed, good = traffic
    first = np.flatnonzero(good & (completed >= healing))
    at = first[np.argmin(completed[first])] if len(first) else None
    if not _stopped(traffic, injected, healing):
        return Resumed(False, None, 0)
    if at is None:
        return Resumed(True, None, 0)
    end = int(completed[at])
    others = scheduled[(scheduled < end) & (np.arange(len(scheduled)) != at)]
    unanswered = max(int(others.max()) if len(others) else injected, healing)
    return Resumed(True, end, max(end - unanswered, 0))


def _stopped(traffic: Readings, injected: int, healing: int) -> bool:
    """Whether something sent since the last good answer before `healing` failed, or waits longer than usual."""
    scheduled, completed, good = traffic
    latency = completed - scheduled
    usual = latency[good & (scheduled < injected)]
    patience = max(2 * int(np.percentile(usual, 99)) if len(usual) else 0, _interval(scheduled))
    last = completed[good & (completed < healing)].max(initial=injected)
    waiting = (scheduled >= last) & (scheduled < healing)
    return bool(np.any(waiting & (~good | (latency > patience))))
