"""Every checker against brute force: a few of the many histories of `python -m tests.engine.brute`."""

from collections import Counter

import pytest

from tests.engine import brute


@pytest.mark.parametrize("kind", list(brute.kinds()), ids=lambda kind: kind.name)
def test_no_verdict_is_one_that_brute_force_refutes(kind: brute.Kind) -> None:
    counted = Counter[str]()
    assert [told for seed in range(40) for told in brute.disagreements(kind, seed, counted)] == []
    assert counted["held"] > 0
    assert counted["violated"] > 0
