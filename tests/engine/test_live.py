"""Judging while the history grows: what is told is true of the whole, and it is told at once."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from engine.alarm import Alarm, certain
from engine.checkers import REGISTRY, Checker
from engine.checkers.counter import Counter
from engine.checkers.linearizable import Linearizable
from engine.checkers.queue import Queue
from engine.checkers.sessions import Sessions
from engine.checkers.set import Set
from engine.history import History, Op
from engine.live import Live
from engine.recorded import Writer
from engine.samples import Outcome
from engine.verdict import Verdict
from tests.engine import tiny
from tests.engine.test_checkers import in_sessions

OK, FAIL, INFO = Outcome

KINDS: dict[str, tuple[Checker, Callable[[tiny.Pick], History]]] = {
    "registers": (Linearizable("register"), lambda pick: tiny.history(pick, tiny.register, 7, 2)),
    "registers with cas": (Linearizable("cas-register"), lambda pick: tiny.history(pick, tiny.cas_register, 7)),
    "registers of two values": (Linearizable("cas-register"), lambda pick: tiny.history(pick, tiny.repeating, 7)),
    "texts": (Linearizable("kv"), lambda pick: tiny.history(pick, tiny.kv, 7)),
    "sets": (Set(), lambda pick: tiny.nearly(pick, tiny.of_a_set)),
    "queues": (Queue(), lambda pick: tiny.nearly(pick, tiny.of_a_queue)),
    "sums": (Counter(), lambda pick: tiny.nearly(pick, tiny.of_a_counter)),
    "sessions": (Sessions(), in_sessions),
}  # fmt: skip


def told(checker: Checker, history: History) -> list[dict[str, Any]]:
    watcher = checker.live()
    assert watcher
    return Live(watcher).columns(history.columns)


@pytest.mark.parametrize(("checker", "make"), KINDS.values(), ids=KINDS)
def test_what_is_told_is_what_the_verdict_will_be(checker: Checker, make: Any) -> None:
    caught = violated = 0
    for seed in range(600):
        history = make(tiny.from_seed(seed))
        found = told(checker, history)
        verdict = checker.check(history).verdict
        assert verdict is Verdict.VIOLATED or not found, seed
        caught += bool(found)
        violated += verdict is Verdict.VIOLATED
    assert caught > 5
    assert violated > 5


@settings(max_examples=100, deadline=None)
@given(pick=tiny.picks())
def test_registers_of_unique_values_are_judged_as_at_the_end(pick: tiny.Pick) -> None:
    history = tiny.history(pick, tiny.register, 7, 2)
    if any(op.outcome is OK for op in history.ops):
        verdict = Linearizable("register").check(history).verdict
        assert bool(told(Linearizable("register"), history)) is (verdict is Verdict.VIOLATED)


def test_long_histories_are_judged_as_at_the_end_and_little_is_kept() -> None:
    """Values go out of memory and come back, wrongly, long after."""
    for seed in range(20):
        pick = tiny.from_seed(seed)
        ops, value = list[Op](), None
        for i in range(400):
            start, end = 10 * i - pick(30), 10 * i + pick(30)
            f = ("read", "write")[pick(2)]
            value = i if f == "write" else value
            ops.append(Op(2 * i, i, f, value if f == "write" else None, "a", start, end, OK, value))
        if seed % 2:
            written = [op.value for op in ops if op.f == "write"]
            reads = [op for op in ops if op.f == "read"]
            reads[-1 - pick(100)].result = written[pick(len(written))]
        history = History(sorted(ops, key=lambda op: op.invoked))
        watcher: Any = Linearizable("register").live()
        found = Live(watcher).columns(history.columns)
        assert bool(found) is (Linearizable("register").check(history).verdict is Verdict.VIOLATED)
        assert len(watcher._objects["a"].zones) < 20


def test_it_is_told_with_the_answer_that_makes_it_certain() -> None:
    write = {"process": 0, "f": "write", "value": 1}
    look = {"process": 1, "f": "read", "value": None}
    watcher = Linearizable("register").live()
    assert watcher
    live = Live(watcher)
    assert live.feed([{**write, "type": "invoke", "time": 1}, {**write, "type": "ok", "time": 2}]) == []
    assert live.feed([{**look, "type": "invoke", "time": 3}, {**look, "type": "ok", "time": 4}]) == []
    (found,) = live.feed([{**look, "type": "invoke", "time": 5}])
    assert [op["f"] for op in found["operations"]] == ["write", "read"]


def test_times_that_run_backwards_are_left_to_the_end() -> None:
    ops = [Op(0, 0, "write", 1, None, 0, 1, OK, 1), Op(2, 1, "read", None, None, 3, 4, OK, 7)]
    watcher = Linearizable("register").live()
    assert watcher
    live = Live(watcher)
    live.feed([{"process": 5, "type": "invoke", "f": "read", "value": None, "time": 9}])
    assert live.columns(History([replace(op) for op in ops]).columns) == []


def test_a_run_tells_of_the_first_violation_while_its_history_grows(tmp_path: Path) -> None:
    path = tmp_path / "history.arrows"
    alarm = Alarm({"linearizable": Linearizable("register"), "bank": REGISTRY.get("bank")()}, path)
    assert alarm.look() is None  # nothing is written yet
    writer = Writer(path)
    begun, _ = writer.invoke(0, "write", None, 1, 0)
    writer.end(begun, OK, 1)
    begun, _ = writer.invoke(0, "read", None, None, 0)
    ended = writer.end(begun, OK, None)
    writer.close()
    assert alarm.look() is None  # what comes at the same time would be concurrent
    told = alarm.look(final=True)
    assert told
    assert (told[0], certain(told[1]), alarm.look()) == ("linearizable", ended, None)
