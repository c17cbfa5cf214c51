"""Transactions: verdicts against brute force, names of anomalies, and the levels that they rule out."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings

from engine.checkers import REGISTRY, Checker
from engine.checkers._cycles import cycles
from engine.checkers._graph import Graph
from engine.checkers._isolation import FORBIDS
from engine.columns import column
from engine.errors import BadInput
from engine.history import History, Op
from engine.replay import every_order, steps
from engine.samples import Outcome
from engine.specs import REGISTRY as SPECS
from engine.verdict import Verdict
from tests.engine import tiny

OK, FAIL, INFO = Outcome
WRITES = {"list-append": "append", "rw-register": "w"}
WILD = {"list-append": tiny.list_append, "rw-register": tiny.rw_register}


def serial(name: str, history: History, strict: bool) -> bool:
    """Is there a serial order? By trying each."""
    spec: Any = SPECS.get(name)()
    found = steps(spec, history.ops)
    if not strict:
        found = [replace(step, start=0, end=step.end if step.maybe else 1) for step in found]
    return every_order(spec, found) is not None


def checker(name: str, **params: Any) -> Checker:
    return REGISTRY.get(name)(**params)


def agrees(name: str, history: History) -> None:
    if not any(op.outcome is OK for op in history.ops):
        return
    for level in ("serializable", "strict-serializable"):
        found = checker(name, level=level, certify=True).check(history)
        if found.verdict is not Verdict.UNKNOWN or "more than once" not in found.headline:
            expected = serial(name, history, level.startswith("strict"))
            assert found.verdict is (Verdict.HELD if expected else Verdict.VIOLATED), found


@pytest.mark.parametrize("name", WRITES)
@settings(max_examples=60, deadline=None)
@given(pick=tiny.picks())
def test_the_verdict_is_that_of_brute_force(name: str, pick: tiny.Pick) -> None:
    agrees(name, tiny.transactions(pick, WRITES[name], 4))


@pytest.mark.parametrize("name", WRITES)
def test_the_verdict_is_that_of_brute_force_on_many_from_seeds(name: str) -> None:
    for seed in range(150):
        agrees(name, tiny.transactions(tiny.from_seed(seed), WRITES[name]))
        agrees(name, tiny.history(tiny.from_seed(seed), WILD[name], 4))


def txns(*given: Any) -> History:
    """Concurrent transactions, each a list of steps or (steps, outcome)."""
    ops = []
    for i, one in enumerate(given):
        done, outcome = one if isinstance(one, tuple) else (one, OK)
        asked = [[f, k, None if f == "r" else v] for f, k, v in done]
        ops.append(Op(i, i, "txn", asked, None, 0, 10, outcome, done if outcome is OK else None))
    return History(ops)


def append(key: str, value: int) -> list[Any]:
    return ["append", key, value]


def look(key: str, *values: int) -> list[Any]:
    return ["r", key, list(values)]


ANOMALIES = {
    "G0": ([append("x", 1), append("y", 1)], [append("x", 2), append("y", 2)], [look("x", 1, 2), look("y", 2, 1)]),
    "G1a": (([append("x", 1)], FAIL), [look("x", 1)]),
    "G1b": ([append("x", 1), append("x", 2)], [look("x", 1)]),
    "G1c": ([append("x", 1), look("y", 1)], [append("y", 1), look("x", 1)]),
    "G-single": ([append("x", 1), append("y", 1)], [look("x", 1), look("y")]),
    "G-nonadjacent": (
        [append("x", 1)], [look("x", 1), look("y")], [append("y", 1)], [look("y", 1), look("x")],
    ),
    "G2-item": ([look("x"), append("y", 1)], [look("y"), append("x", 1)]),
    "lost update": ([look("x"), append("x", 1)], [look("x"), append("x", 2)]),
    "internal": ([append("x", 1), look("x")],),
    "non-repeatable read": ([look("x"), look("x", 1)], [append("x", 1)]),
    "unwritten": ([look("x", 7)],),
    "duplicate": ([append("x", 1)], [look("x", 1, 1)]),
    "incompatible order": ([append("x", 1)], [append("x", 2)], [look("x", 1, 2)], [look("x", 2)]),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "given"), ANOMALIES.items(), ids=ANOMALIES)
def test_each_anomaly_has_its_name_and_rules_out_its_levels(kind: str, given: Any) -> None:
    history = txns(*given)
    for level, forbidden in FORBIDS.items():
        found = checker("list-append", level=level).check(history)
        kinds = [finding["kind"] for finding in found.findings]
        assert (kind in kinds) == (kind in forbidden), level
        assert (found.verdict is Verdict.VIOLATED) == bool(kinds)
        assert all(level in finding["rules_out"] for finding in found.findings)


def test_write_skew_is_allowed_by_snapshot_isolation_and_told() -> None:
    found = checker("list-append", level="snapshot-isolation").check(txns(*ANOMALIES["G2-item"]))
    assert found.verdict is Verdict.HELD
    assert "seen besides: G2-item" in found.headline


def test_a_cycle_is_told_from_transaction_to_transaction() -> None:
    (finding,) = REGISTRY.get("list-append")().check(txns(*ANOMALIES["G-single"])).findings
    assert {(edge["from"], edge["edge"], edge["to"]) for edge in finding["cycle"]} == {
        (1, "rw", 0),
        (0, "wr", 1),
    }
    assert "T1 reads 'y' before T0 writes it" in finding["why"]
    assert sorted(op["index"] for op in finding["operations"]) == [0, 1]


def test_a_stale_read_breaks_strict_serializability_only() -> None:
    write, read = txns([append("x", 1)], [look("x")]).ops
    read.invoked, read.completed = 20, 30
    later = Op(5, 5, "txn", [look("x")], None, 40, 50, OK, [look("x", 1)])
    history = History([write, read, later])
    assert REGISTRY.get("list-append")().check(history).verdict is Verdict.HELD
    found = checker("list-append", level="strict-serializable").check(history)
    assert [finding["kind"] for finding in found.findings] == ["G-single in real time"]
    assert "T0 ends before T1 begins" in found.findings[0]["why"]


def test_values_that_are_not_unique_are_not_judged() -> None:
    found = REGISTRY.get("list-append")().check(txns([append("x", 1)], [append("x", 1)], [look("x", 1)]))
    assert found.verdict is Verdict.UNKNOWN
    assert "1 is appended to 'x' more than once" in found.headline


def test_a_malformed_transaction_is_named() -> None:
    with pytest.raises(BadInput, match="operation 1: a step is"):
        REGISTRY.get("list-append")().check(txns([append("x", 1)], [["w", "x", 1]]))


def test_a_node_that_comes_before_all_of_a_key_does_not_come_before_itself() -> None:
    graph = Graph(3)
    graph.before_all(column([0, 1, 2]), column([0, 0, 0]), 0, (column([0, 1, 2]), column([0, 0, 0])))
    assert all(len({edge.source for edge in one.edges}) > 1 for one in cycles(graph))
    alone = Graph(1)
    alone.before_all(column([0]), column([0]), 0, (column([0]), column([0])))
    assert list(cycles(alone)) == []
