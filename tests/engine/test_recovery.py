"""Outages and recovery on readings made by hand: times in milliseconds, one reading every 100 ms."""

import numpy as np
import pytest

from engine.recovery import availability, outages, recover, resumed
from engine.series import Readings
from engine.tolerance import Tolerance, comparison

MS = 1_000_000
STEADY = Tolerance((comparison("availability", ">= 99%"),))


def made(marks: str, latency: int = 1, **slow: int) -> Readings:
    """`.` is a good reading, `x` one that failed after 20 ms."""
    scheduled = np.arange(len(marks), dtype=np.int64) * 100 * MS
    good = np.array([m == "." for m in marks], dtype=bool)
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


def test_traffic_goes_again_at_the_first_good_answer_after_the_healing_began() -> None:
    found = resumed(made("..xxxx...."), 150 * MS, 450 * MS)
    assert (found.stopped, found.at_ns) == (True, 601 * MS)
    assert found.uncertainty_ns == 101 * MS  # the look at 500 ms was not answered


def test_what_was_sent_while_it_was_cut_and_arrives_late_shows_it_too() -> None:
    late = made("..........")
    late.completed[2:6] = 630 * MS  # sent from 200 to 500 ms, held, and let go on at 630 ms
    late.completed[6] = 640 * MS
    found = resumed(late, 150 * MS, 420 * MS)
    assert (found.at_ns, found.uncertainty_ns) == (630 * MS, 30 * MS)  # the look at 600 ms had no answer yet


def test_traffic_that_never_went_again_has_no_time() -> None:
    assert resumed(made("..xxxx"), 150 * MS, 450 * MS).at_ns is None
    assert resumed(made("..xxxx"), 150 * MS, 450 * MS).stopped


@pytest.mark.parametrize("marks", ["..........", "..x.......", "..xx......"])
def test_traffic_that_passed_when_the_healing_began_did_not_resume(marks: str) -> None:
    found = resumed(made(marks), 150 * MS, 550 * MS)
    assert (found.stopped, found.at_ns) == (False, None)


def test_an_answer_that_takes_as_long_as_always_is_no_stop() -> None:
    assert not resumed(made("..........", latency=60), 150 * MS, 530 * MS).stopped


def test_nothing_is_known_of_traffic_at_which_nobody_looked() -> None:
    assert not resumed(made(""), 150 * MS, 550 * MS).stopped
