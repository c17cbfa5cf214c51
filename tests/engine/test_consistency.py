"""Which checkers take part in the verdict of a run, and sound the alarm while it goes on."""

import pytest

from engine.consistency import counting
from engine.experiment import Experiment


def experiment(read_from: str, **expect: object) -> Experiment:
    node = {"name": "one", "address": "127.0.0.1:6379"}
    return Experiment.from_dict({
        "name": "reads", "target": "store", "targets": [{"name": "store", "kind": "redis", "nodes": [node]}],
        "steady_state": [{"probe": "redis", "tolerance": {"availability": ">= 50%"}}],
        "workload": {"register": {"read_from": read_from}}, "expect": expect,
    })  # fmt: skip


@pytest.mark.parametrize(
    ("read_from", "expect", "counts"),
    [
        ("leader", {}, True),
        ("leader", {"linearizable": False}, False),
        ("replicas", {}, False),
        ("replicas", {"linearizable": True}, True),
    ],
)
def test_reads_of_replicas_are_held_to_the_newest_value_only_where_that_is_expected(
    read_from: str, expect: dict[str, object], counts: bool
) -> None:
    assert ("linearizable" in counting(experiment(read_from, **expect))) is counts
