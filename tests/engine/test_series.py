"""Samples become readings, summaries and histograms; compared with the plain way to compute them."""

import random

import numpy as np
import pytest

from engine.samples import DTYPE, Samples, Status
from engine.series import readings

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
