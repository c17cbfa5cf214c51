"""The distributions of delays, against what they say they are (Kolmogorov and Smirnov's test)."""

import math
import random

import pytest
from scipy import stats

from engine.proxy import chance

MEAN, SPREAD, DRAWS = 100.0, 20.0, 20_000
SHAPE = 3.0
DEVIATION = stats.pareto(SHAPE).std()
WANTED = {
    "uniform": stats.uniform(MEAN - SPREAD, 2 * SPREAD),
    "normal": stats.norm(MEAN, SPREAD),
    "pareto": stats.pareto(
        SHAPE, loc=MEAN - SPREAD * stats.pareto(SHAPE).mean() / DEVIATION, scale=SPREAD / DEVIATION
    ),
}


def draws(name: str) -> list[float]:
    random.seed(4)
    return [chance.DISTRIBUTIONS[name](MEAN, SPREAD) for _ in range(DRAWS)]


def test_every_distribution_is_tested() -> None:
    assert set(WANTED) == set(chance.DISTRIBUTIONS)


@pytest.mark.parametrize("name", WANTED)
def test_it_is_distributed_as_it_says(name: str) -> None:
    assert stats.kstest(draws(name), WANTED[name].cdf).pvalue > 0.001


@pytest.mark.parametrize(("name", "other"), [(a, b) for a in WANTED for b in WANTED if a != b])
def test_it_is_told_from_every_other_one(name: str, other: str) -> None:
    assert stats.kstest(draws(name), WANTED[other].cdf).pvalue < 1e-6


@pytest.mark.parametrize("name", WANTED)
def test_the_mean_is_the_delay_that_was_asked(name: str) -> None:
    error = WANTED[name].std() / math.sqrt(DRAWS)
    assert abs(sum(draws(name)) / DRAWS - MEAN) < 4 * error
