import itertools
import random

import pytest

from engine.rhythm import Moments, Pulse


def test_a_pulse_hurts_and_heals_in_turn_until_its_time_is_over() -> None:
    assert Pulse.read("2s on, 3s off", 11).windows(11, random.Random()) == [(0, 2), (5, 2), (10, 1)]
    assert Pulse.read("2s on 3s off", 10).windows(10, random.Random()) == [(0, 2), (5, 2)]
    assert Pulse.read("500ms on, 1s off", 10).text() == "500ms on, 1s off"


def test_moments_fall_within_the_time_in_order_and_apart() -> None:
    moments = Moments.read("5 of 2s", 20)
    seen = set()
    for seed in range(200):
        windows = moments.windows(20, random.Random(seed))
        starts = [start for start, _ in windows]
        assert len(windows) == 5
        assert starts[0] >= 0
        assert starts[-1] + 2 <= 20
        assert all(b - a >= 2 for a, b in itertools.pairwise(starts))
        seen.add(tuple(starts))
    assert len(seen) == 200
    assert moments.windows(20, random.Random(3)) == moments.windows(20, random.Random(3))


@pytest.mark.parametrize(
    ("cls", "text", "told"),
    [
        (Pulse, "2s", "write it like 2s on, 3s off"),
        (Pulse, "2 on, 3s off", "has no unit"),
        (Pulse, "0s on, 3s off", "must last"),
        (Pulse, "1ms on, 1ms off", "at most 200"),
        (Moments, "often", "write it like 3 of 2s"),
        (Moments, "0 of 2s", "write it like 3 of 2s"),
        (Moments, "3 of 5s", "do not fit into 10s"),
    ],
)
def test_what_is_no_rhythm_is_answered_with_what_would_be(
    cls: type[Pulse] | type[Moments], text: str, told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        cls.read(text, 10.0)
