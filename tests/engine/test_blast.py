import random

import pytest

from engine import blast
from engine.errors import Refused
from engine.target import Node, Target

FIVE = Target("five", tuple(Node(f"n{i}", f"127.0.0.1:{i}") for i in range(1, 6)))


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        (["one"], 1),
        (["minority"], 2),
        (["majority"], 3),
        (["all"], 5),
        (["50%"], 2),
        (["n1", "n4"], 2),
        (["followers"], 4),
    ],
)
def test_as_many_are_hit_as_was_said(wanted: list[str], count: int) -> None:
    assert len(blast.resolve(wanted, FIVE, "n2", random.Random(1))) == count == blast.most(wanted, FIVE)


def test_the_leader_is_the_leader() -> None:
    assert blast.resolve(["leader"], FIVE, "n2", random.Random(1)) == ["n2"]
    assert "n2" not in blast.resolve(["followers"], FIVE, "n2", random.Random(1))


@pytest.mark.parametrize(
    ("wanted", "part"),
    [
        (["leader"], "Nobody leads"),
        (["n9"], "no node called 'n9'"),
        (["10%"], "hits no node"),
        ([], "hits no node"),
    ],
)
def test_whom_it_cannot_hit_is_said(wanted: list[str], part: str) -> None:
    with pytest.raises(Refused, match=part):
        blast.resolve(wanted, FIVE, None, random.Random(1))
