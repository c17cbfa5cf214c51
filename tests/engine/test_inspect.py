"""Who leads, where the nodes do not agree on it."""

import pytest

from engine.inspect import _leader, _Look
from engine.probes import View
from engine.target import Node, Target

NODES = tuple(Node(name, f"127.0.0.1:{port}") for port, name in enumerate(("n1", "n2", "n3", "n4"), 1))


@pytest.mark.parametrize(
    ("views", "leads"),
    [
        ({"n1": ("n1", 1), "n2": ("n2", 2), "n3": ("n2", 2)}, "n2"),  # the old one is cut off
        ({"n1": ("n1", 3), "n2": ("n2", 2), "n3": ("n2", 2)}, "n2"),  # nobody follows it yet
        ({"n1": ("n1", 1), "n2": ("n2", 2)}, "n2"),  # as many say so: the newer term
        ({"n1": ("n2", 2), "n2": ("n1", 1)}, "n2"),
        ({"n1": ("n2", None), "n2": ("n1", None)}, "n2"),  # without terms: whom the first node names
        ({"n1": (None, 5)}, None),
        ({}, None),
    ],
)
def test_the_one_whom_most_take_for_the_leader_leads(
    views: dict[str, tuple[str | None, int | None]], leads: str | None
) -> None:
    looks = [
        _Look(name in views, "", View(name, *views[name]) if name in views else None)
        for name in (node.name for node in NODES)
    ]
    assert _leader(Target("it", NODES), looks) == leads
