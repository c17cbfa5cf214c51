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


def test_values_that_repeat_and_cas_are_left_to_the_search() -> None:
    for given in (("write", 1), ("write", 1)), (("cas", [None, 1]),):
        ops = [Op(2 * i, i, f, v, None, i, i + 1, Outcome.OK, v) for i, (f, v) in enumerate(given)]
        assert order(steps(REGISTRY.get("cas-register")(), ops)) is None
