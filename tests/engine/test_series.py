"""Samples become readings, summaries and histograms; compared with the plain way to compute them."""

import math
import random

import numpy as np
import pytest

from engine.samples import DTYPE, Samples, Status
from engine.series import Histogram, bins, readings, summarise

MS = 1_000_000


def samples(*rows: tuple[int, int, int, int, int]) -> Samples:
    """(scheduled ms, latency ms, probe, node, status)"""
    return np.array([(s * MS, took * MS, p, n, st, 0) for s, took, p, n, st in rows], DTYPE)


def made_up(seed: int, ticks: int = 400, nodes: int = 3) -> Samples:
    rng = random.Random(seed)
    rows = [
        (t * 10, rng.randint(1, 50), probe, node, rng.choice([0, 0, 1, 2]))
        for t in range(ticks) for probe in range(2) for node in range(nodes)
    ]  # fmt: skip
    rng.shuffle(rows)
    return samples(*rows)


def test_with_any_the_earliest_good_answer_counts() -> None:
    found = readings(samples((0, 9, 0, 0, 0), (0, 4, 0, 1, 0), (0, 1, 0, 2, Status.CONNECTION)), mode="any")
    assert found.good.tolist() == [True]
    assert found.completed.tolist() == [4 * MS]


def test_with_any_it_is_bad_when_the_last_node_has_said_so() -> None:
    found = readings(samples((0, 9, 0, 0, 2), (0, 4, 0, 1, 3)), mode="any")
    assert (found.good.tolist(), found.completed.tolist()) == ([False], [9 * MS])


def test_with_all_one_bad_node_makes_it_bad_at_once() -> None:
    found = readings(samples((0, 9, 0, 0, 0), (0, 4, 0, 1, 3), (1, 2, 0, 0, 0), (1, 3, 0, 1, 0)), mode="all")
    assert found.good.tolist() == [False, True]
    assert found.completed.tolist() == [4 * MS, 4 * MS]


def test_ticks_of_which_not_all_is_known_can_be_left_out() -> None:
    found = readings(samples((0, 1, 0, 0, 0), (0, 1, 0, 1, 0), (5, 1, 0, 1, 3)), nodes=2)
    assert found.scheduled.tolist() == [0]


@pytest.mark.parametrize("mode", ["any", "all"])
def test_joined_readings_are_those_of_the_plain_way(mode: str) -> None:
    raw = made_up(1)
    found = readings(raw, 1, mode)
    by_time: dict[int, list[tuple[int, bool]]] = {}
    for scheduled, latency, probe, _, status, _ in raw.tolist():
        if probe == 1:
            by_time.setdefault(scheduled, []).append((scheduled + latency, status == 0))
    for i, time in enumerate(sorted(by_time)):
        answers = by_time[time]
        good = any(g for _, g in answers) if mode == "any" else all(g for _, g in answers)
        settles = [end for end, g in answers if g == (mode == "any")]
        assert (found.scheduled[i], bool(found.good[i])) == (time, good)
        assert found.completed[i] == (min(settles) if settles else max(end for end, _ in answers))


def test_summaries_are_those_of_the_plain_way() -> None:
    found = readings(made_up(2), 0)
    made = bins(found, 100 * MS, 250 * MS, 12)
    for i in range(12):
        inside = [
            (int(c - s), bool(g))
            for s, c, g in zip(*found, strict=True)
            if (100 + 250 * i) * MS <= s < (350 + 250 * i) * MS
        ]
        good = sorted(latency for latency, g in inside if g)
        assert (made.good[i], made.total[i]) == (len(good), len(inside))
        assert made.p50[i] == pytest.approx(good[math.ceil(len(good) * 0.5) - 1] / 1e9)
        assert made.p99[i] == pytest.approx(good[math.ceil(len(good) * 0.99) - 1] / 1e9)
        assert made.max[i] == pytest.approx(good[-1] / 1e9)


def test_an_interval_event_has_null_where_nothing_was_good_or_done() -> None:
    raw = samples((0, 1, 0, 0, 0), (10, 5, 0, 0, 2))
    ops = samples((2, 3, 0, 0, 0), (3, 2, 0, 1, 2))
    first, second = summarise(raw, 0, 10 * MS, 2, probes={"http": "any"}, nodes=["n1"], ops=ops)
    assert first["probes"]["http"] == {"good": 1, "total": 1, "p50": 0.001, "p99": 0.001, "max": 0.001}
    assert first["ops"] == {"ok": 1, "fail": 0, "info": 1, "p50": 0.003, "p99": 0.003}
    assert second["probes"]["http"] == {"good": 0, "total": 1, "p50": None, "p99": None, "max": None}
    assert second["nodes"] == {"n1": {"good": 0, "total": 1}}
    assert (second["t"], second["ops"]) == (0.01, None)


def test_no_samples_at_all_are_summarised_too() -> None:
    (only,) = summarise(samples(), 0, MS, 1, probes={"http": "any"}, nodes=["n1"])
    assert only["probes"]["http"]["total"] == 0


def test_a_histogram_is_within_half_a_percent_also_when_merged_and_stored() -> None:
    values = np.random.default_rng(3).lognormal(-6, 2, 100_000).clip(2e-6)
    merged = Histogram.of(values[:30_000]) + Histogram.of(values[30_000:])
    stored = Histogram.from_dict(merged.to_dict())
    assert stored.total == 100_000
    for share in (0.5, 0.9, 0.99, 0.999, 1.0):
        exact = np.quantile(values, share, method="inverted_cdf")
        assert stored.quantile(share) == pytest.approx(exact, rel=0.005)


def test_an_empty_histogram_has_no_quantile() -> None:
    assert (Histogram() + Histogram.of(np.empty(0))).quantile(0.5) is None
