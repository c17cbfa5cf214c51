"""Outages and recovery on readings made by hand: times in milliseconds, one reading every 100 ms."""

import numpy as np
import pytest

from engine.recovery import availability, outages, recover
from engine.series import Readings
from engine.tolerance import Tolerance, comparison

MS = 1_000_000
STEADY = Tolerance((comparison("availability", ">= 99%"),))


def made(marks: str, latency: int = 1, **slow: int) -> Readings:
    """`.` is a good reading, `x` one that failed after 20 ms."""
    scheduled = np.arange(len(marks), dtype=np.int64) * 100 * MS
    good = np.array([m == "." for m in marks])
    return Readings(scheduled, scheduled + np.where(good, latency, 20) * MS, good)


def test_an_outage_is_from_the_first_bad_reading_to_the_next_good_answer() -> None:
    (one,) = outages(made("..xxx.."))
    assert (one.start_ns, one.end_ns, one.uncertainty_ns) == (200 * MS, 501 * MS, 100 * MS)


def test_an_outage_that_nobody_saw_end_has_no_end() -> None:
    assert [o.end_ns for o in outages(made(".x.xx"))] == [201 * MS, None]


def test_no_readings_have_no_outage() -> None:
    assert outages(made("")) == []
    assert availability(made("")) is None


def test_time_to_detect_and_recover_count_from_the_injection() -> None:
    found = recover(made("....xxx..........."), STEADY, 350 * MS, 900 * MS, 500 * MS)
    assert found.detect == 70 * MS  # scheduled at 400, failed at 420
    assert found.from_injected == 351 * MS
    assert found.from_healed == 0
    assert found.uncertainty == 100 * MS


def test_a_relapse_starts_the_recovery_anew() -> None:
    found = recover(made("..xx.." + "x" + "..........."), STEADY, 150 * MS, 350 * MS, 500 * MS)
    assert found.from_injected == (700 + 1 - 150) * MS
    assert found.from_healed == (700 + 1 - 350) * MS


def test_what_was_not_seen_steady_did_not_recover() -> None:
    found = recover(made("..xx..."), STEADY, 150 * MS, 350 * MS, 500 * MS)
    assert found.broken
    assert (found.detect, found.from_injected) == (70 * MS, None)


def test_what_never_broke_has_nothing_to_recover_from() -> None:
    found = recover(made("........."), STEADY, 150 * MS, 350 * MS, 300 * MS)
    assert (found.broken, found.detect, found.from_injected) == (False, None, None)


def test_slow_readings_are_out_of_tolerance() -> None:
    slow = made("....................")
    slow.completed[5:8] += 300 * MS
    tolerance = Tolerance((comparison("availability", ">= 99%"), comparison("p99", "<= 200ms")))
    found = recover(slow, tolerance, 450 * MS, None, 500 * MS)
    assert found.broken
    assert found.from_injected == (801 - 450) * MS
    assert found.from_healed is None


@pytest.mark.parametrize(("marks", "share"), [("....", 1.0), ("..xx", 0.5), ("xxxx", 0.0)])
def test_availability_is_the_share_of_good_readings(marks: str, share: float) -> None:
    assert availability(made(marks)) == share
