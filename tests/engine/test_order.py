"""An order of a register's operations made from its zones: the replay takes it, however long the history is."""

from typing import Any

from engine.checkers._order import order
from engine.checkers.linearizable import Linearizable
from engine.history import History, Op
from engine.replay import rejects, steps
from engine.samples import Outcome
from engine.specs import REGISTRY
from engine.verdict import Verdict
from tests.engine import tiny

SPEC: Any = REGISTRY.get("register")()


def test_whatever_zones_call_right_has_an_order_that_the_replay_takes() -> None:
    taken = 0
    for seed in range(1500):
        history = tiny.nearly(tiny.from_seed(seed), tiny.of_a_register, 10)
        if Linearizable("register").check(history).verdict is Verdict.HELD:
            found = steps(SPEC, history.ops)
            assert rejects(SPEC, found, order(found) or []) == "", seed
            taken += 1
    assert taken > 700


def test_a_long_history_is_certified() -> None:
    pick, ops, value = tiny.from_seed(7), list[Op](), None
    for i in range(10_000):
        f, pending = ("read", "write")[pick(2)], not pick(100)
        value = i if f == "write" and not pending else value
        asked = i if f == "write" else None
        outcome = Outcome.INFO if pending else Outcome.OK
        result = None if pending else value
        ops.append(Op(2 * i, i, f, asked, None, 10 * i - pick(40), 10 * i + pick(40), outcome, result))
    found = Linearizable("register", certify=True).check(History(sorted(ops, key=lambda op: op.invoked)))
    assert "certified by replay for 1 of 1 key" in found.headline


def test_a_long_history_with_cas_is_certified_in_a_moment() -> None:
    pick, ops, value = tiny.from_seed(3), list[Op](), None
    for i in range(20_000):
        f, pending, happened = ("read", "write", "cas")[pick(3)], not pick(50), pick(2)
        asked = {"read": None, "write": i, "cas": [value, i]}[f]
        if f != "read" and (happened or not pending):
            value = i
        outcome = Outcome.INFO if pending and f != "read" else Outcome.OK
        result = value if f == "read" else None
        ops.append(Op(2 * i, i, f, asked, None, 10 * i - pick(40), 10 * i + pick(40), outcome, result))
    found = Linearizable("cas-register", certify=True).check(History(sorted(ops, key=lambda op: op.invoked)))
    assert "certified by replay for 1 of 1 key" in found.headline


def test_whatever_zones_with_cas_call_right_has_an_order_that_the_replay_takes() -> None:
    spec, taken = REGISTRY.get("cas-register")(), 0
    for seed in range(1500):
        history = tiny.nearly(tiny.from_seed(seed), tiny.of_a_cas_register, 10)
        found = steps(spec, history.ops)
        known = order(found)
        if known is not None and Linearizable("cas-register").check(history).verdict is Verdict.HELD:
            assert rejects(spec, found, known) == "", seed
            taken += 1
    assert taken > 500


def test_values_that_repeat_and_refused_cas_are_left_to_the_search() -> None:
    spec = REGISTRY.get("cas-register")()
    twice = [Op(2 * i, i, "write", 1, None, i, i + 1, Outcome.OK, 1) for i in range(2)]
    refused = [Op(0, 0, "cas", [1, 2], None, 0, 1, Outcome.FAIL, None, "mismatch")]
    for ops in twice, refused:
        assert order(steps(spec, ops)) is None


def test_a_proof_that_is_not_found_in_time_is_unknown_and_says_so() -> None:
    ops = [
        Op(2 * i, i, "write", i % 3, None, 2 * i, 2 * i + 1, Outcome.OK, i % 3, version=i + 1)
        for i in range(5000)
    ]
    found = Linearizable("register", certify=True, timeout=0.001).check(History(ops))
    assert found.verdict is Verdict.UNKNOWN
    assert (
        "certified by replay for 0 of 1 key within 0.001 s; a longer timeout may prove it" in found.headline
    )
    assert Linearizable("register").check(History(ops)).verdict is Verdict.HELD
