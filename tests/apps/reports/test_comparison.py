from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from apps.reports import comparison, trend
from apps.reports.trend import Point


def test_the_interval_of_a_difference_is_that_of_newcombe() -> None:
    """56 of 70 against 48 of 80: 0.0524 to 0.3339, from the paper's table II."""
    found = comparison.shares("a", (48, 80), (56, 70))
    assert (found.low, found.high) == pytest.approx((0.0524, 0.3339), abs=1e-4)
    assert found.better is True


def test_the_same_share_is_no_difference_and_a_fall_is_worse() -> None:
    assert not comparison.shares("a", (990, 1000), (989, 1000)).told
    assert comparison.shares("a", (990, 1000), (900, 1000)).better is False
    assert not comparison.shares("a", (10, 10), (9, 10)).told
    assert comparison.shares("a", (0, 0), (9, 10)).low is None
    assert comparison.shares("a", None, (9, 10)).other == 0.9


def test_the_same_latencies_drawn_again_are_seldom_told_apart() -> None:
    told = 0
    for seed in range(40):
        dice = np.random.default_rng(seed)
        a, b = dice.lognormal(0, 0.5, (2, 1500))
        told += comparison.quantiles("p50", 50, a, b).told
    assert told <= 6


def test_latencies_that_are_a_fifth_longer_are_told_apart_and_worse() -> None:
    dice = np.random.default_rng(3)
    a, b = dice.lognormal(0, 0.5, (2, 4000))
    assert comparison.quantiles("p50", 50, a, 1.2 * b).better is False
    assert comparison.quantiles("p50", 50, 1.2 * a, b).better is True


def test_few_latencies_tell_nothing() -> None:
    found = comparison.quantiles("p99", 99, np.ones(99), np.ones(5000))
    assert (found.low, found.told, found.base) == (None, False, 1.0)
    assert comparison.quantiles("p99", 99, np.ones(0), np.ones(5000)).base is None


def test_times_differ_only_beyond_both_errors_of_measuring() -> None:
    assert not comparison.times("t", 2.0, 2.15, 0.1, 0.1).told
    assert comparison.times("t", 2.0, 2.25, 0.1, 0.1).better is False
    assert comparison.times("t", 2.0, 1.0, 0.1, 0.1).better is True
    assert comparison.times("t", 2.0, None, 0.1, 0.1).low is None


def test_documents_differ_in_their_lines() -> None:
    assert comparison.document_changes("a: 1\nb: 2\n", "a: 1\nb: 2\n") == []
    assert ("del", "-b: 2") in comparison.document_changes("a: 1\nb: 2\n", "a: 1\nb: 3\n")
    assert ("add", "+b: 3") in comparison.document_changes("a: 1\nb: 2\n", "a: 1\nb: 3\n")


def test_a_run_is_laid_on_the_time_since_its_fault() -> None:
    probes = {"http": {"good": 9, "total": 10, "p50": 0.001, "p99": None}}
    events = [
        {"kind": "interval", "data": {"t": 1.0, "width": 1.0, "probes": probes}},
        {"kind": "note", "data": {}},
        {"kind": "interval", "data": {"t": 2.0, "width": 1.0, "probes": {}}},
    ]
    found = comparison.aligned(events, 1.5)
    assert found["t"] == [-0.5, 0.5]
    assert found["availability"] == [90.0, None]
    assert (found["p50"], found["p99"]) == ([1.0, None], [None, None])


def test_what_is_thinned_keeps_its_worst() -> None:
    columns = {
        "probe": "p",
        "t": list(range(10)),
        "availability": [100] * 9 + [3],
        "p50": [None] * 10,
        "p99": [1, 9] + [1] * 8,
    }
    found = comparison.thinned(columns, most=3)
    assert found["t"] == [0, 4, 8]
    assert found["availability"] == [100, 100, 3]
    assert found["p99"] == [9, 1, 1]
    assert found["p50"] == [None, None, None]


def point(run: int, **parts) -> Point:
    row = {
        "verdict": "held",
        "detect": 0.1,
        "recover": 2.0,
        "uncertainty": 0.1,
        "availability": 0.9,
        "broken": True,
    }
    return Point(run=run, at=datetime(2026, 11, 1, tzinfo=UTC) + timedelta(hours=run), **{**row, **parts})


def test_mean_times_are_over_the_runs_in_which_something_broke() -> None:
    points = [
        point(1), point(2, recover=4.0, detect=None), point(3, broken=False, recover=None, detect=None, availability=1.0),
        point(4, recover=None, verdict="violated"),
    ]  # fmt: skip
    found = trend.summary(points)
    assert (found.mttd, found.mttr, found.recovered, found.never) == (0.1, 3.0, 2, 1)
    assert (found.held, found.violated, found.unknown) == (3, 1, 0)
    assert trend.summary([]).mttr is None


def test_a_mark_is_set_where_the_target_or_the_experiment_changed() -> None:
    points = [
        point(1, target_version="1.0", target_print="a"), point(2, target_version="1.0", target_print="a"),
        point(3, target_version="1.1", target_print="a"), point(4, target_version="1.1", target_print="a", version=2),
        point(5, target_print="b", version=2), point(6, experiment="other", target_print="c"),
    ]  # fmt: skip
    assert [(m.run, m.text) for m in trend.marks(points)] == [
        (3, "1.1"), (4, "experiment v2"), (5, "the service as registered changed"),
    ]  # fmt: skip
    assert [(g["text"], g["summary"].runs) for g in trend.by_version(points[:4])] == [
        ("experiment v2", 1), ("1.1", 1), ("1.0", 2),
    ]  # fmt: skip


def test_a_moving_mean_passes_over_what_is_unknown() -> None:
    assert trend.moving([None, 1.0, None, 3.0, 5.0], span=2) == [None, 1.0, 1.0, 2.0, 4.0]
