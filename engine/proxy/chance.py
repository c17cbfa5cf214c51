"""How a delay varies: by its name, what draws one from its mean and its spread, in any one unit."""

import math
import random
from collections.abc import Callable

_SHAPE = 3.0  # of the Pareto distribution: both its mean and its variance exist
_AVERAGE = _SHAPE / (_SHAPE - 1)
_DEVIATION = math.sqrt(_SHAPE / ((_SHAPE - 1) ** 2 * (_SHAPE - 2)))


def uniform(mean: float, spread: float) -> float:
    """Anything between mean - spread and mean + spread, as likely."""
    return random.uniform(mean - spread, mean + spread)


def normal(mean: float, spread: float) -> float:
    """Around the mean, with `spread` as standard deviation."""
    return random.gauss(mean, spread)


def pareto(mean: float, spread: float) -> float:
    """Mostly a little below the mean, rarely far above it; `spread` is the standard deviation."""
    return mean + spread * (random.paretovariate(_SHAPE) - _AVERAGE) / _DEVIATION


DISTRIBUTIONS: dict[str, Callable[[float, float], float]] = {
    "uniform": uniform, "normal": normal, "pareto": pareto,
}  # fmt: skip
