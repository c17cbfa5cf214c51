"""Linearizability: zones and searches against brute force on tiny histories, and what a violation tells."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.checkers._deep import deep
from engine.checkers._numbered import Numbered
from engine.checkers._wide import wide
from engine.checkers.linearizable import Linearizable
from engine.errors import BadInput
from engine.history import History, Op
from engine.replay import every_order, rejects, steps
from engine.samples import Outcome
from engine.specs import REGISTRY
from engine.verdict import Verdict
from tests.engine import tiny

OK, FAIL, INFO = Outcome
KINDS = {
    "unique values": ("register", tiny.register, 1),
    "unique values on two keys": ("register", tiny.register, 2),
    "cas of unique values": ("cas-register", tiny.cas_register, 1),
    "cas of unique values on two keys": ("cas-register", tiny.cas_register, 2),
    "two values again and again": ("cas-register", tiny.repeating, 1),
    "appended texts": ("kv", tiny.kv, 1),
    "a queue": ("queue", tiny.queue, 1),
    "a set": ("set", tiny.elements, 1),
    "a counter": ("counter", tiny.counter, 1),
}


def possible(spec: Any, history: History) -> bool:
    return all(every_order(spec, steps(spec, ops)) is not None for ops in history.by_key().values())


@pytest.mark.parametrize(("name", "make", "keys"), KINDS.values(), ids=KINDS)
@settings(max_examples=60, deadline=None)
@given(pick=tiny.picks())
def test_the_verdict_is_that_of_brute_force(name: str, make: Any, keys: int, pick: tiny.Pick) -> None:
    history = tiny.history(pick, make, 6, keys)
    if not any(op.outcome is OK for op in history.ops):
        return
    found = Linearizable(name, certify=True).check(history)
    expected = Verdict.HELD if possible(REGISTRY.get(name)(), history) else Verdict.VIOLATED
    assert found.verdict is expected
    assert all(f["certified"] == "brute force tried every order" for f in found.findings)


@pytest.mark.parametrize(("name", "make", "keys"), KINDS.values(), ids=KINDS)
def test_the_verdict_is_that_of_brute_force_on_many_from_seeds(name: str, make: Any, keys: int) -> None:
    spec = REGISTRY.get(name)()
    for seed in range(120):
        history = tiny.history(tiny.from_seed(seed), make, 7, keys)
        if any(op.outcome is OK for op in history.ops):
            expected = Verdict.HELD if possible(spec, history) else Verdict.VIOLATED
            assert Linearizable(name).check(history).verdict is expected, seed


@pytest.mark.parametrize("algorithm", [deep, wide])
@pytest.mark.parametrize(("name", "make"), [(n, m) for n, m, keys in KINDS.values() if keys == 1])
def test_each_search_alone_is_right_and_its_order_is_one(name: str, make: Any, algorithm: Any) -> None:
    spec: Any = REGISTRY.get(name)()
    for seed in range(80):
        pick = tiny.from_seed(seed)
        found = [
            replace(
                step, maybe=step.maybe or not pick(3)
            )  # as in a window: it may not have happened in its time
            for step in steps(spec, tiny.history(pick, make, 7).ops)
        ]
        searching = algorithm(Numbered(spec, found, [spec.initial]))
        answer = ended(searching)
        assert answer.possible is (every_order(spec, found) is not None), seed
        assert not answer.possible or rejects(spec, found, answer.order) == ""


def ended(searching: Any) -> Any:
    """What a generator returns in the end."""
    while True:
        try:
            next(searching)
        except StopIteration as end:
            return end.value


def calls(*given: tuple[str, Any, Any]) -> History:
    """Operations one after the other: f, value, result."""
    return History([Op(2 * i, 0, f, v, None, 10 * i, 10 * i + 5, OK, r) for i, (f, v, r) in enumerate(given)])


def valid(pick: tiny.Pick, count: int, values: int) -> list[Op]:
    """A register's history that is right: each takes effect in the middle of its time. Values repeat."""
    ops, value = [], None
    for i in range(count):
        middle = 10 * i
        start, end = middle - pick(40), middle + pick(40)
        f = ("read", "write")[pick(2)]
        value = pick(values) if f == "write" else value
        ops.append(Op(i, i, f, value if f == "write" else None, None, start, end, OK, value))
    return sorted(ops, key=lambda op: op.invoked)


@pytest.mark.parametrize("values", [3, 1000])
def test_one_wrong_answer_in_a_right_history_is_found_where_brute_force_finds_it(values: int) -> None:
    spec = REGISTRY.get("register")()
    caught = 0
    for seed in range(100):
        pick = tiny.from_seed(seed)
        ops = valid(pick, 8, values)
        assert Linearizable("register").check(History(ops)).verdict is Verdict.HELD
        reads = [op for op in ops if op.f == "read"]
        written = [op.value for op in ops if op.f == "write"]
        if not reads or not written:
            continue
        reads[pick(len(reads))].result = written[pick(len(written))]
        possible = every_order(spec, steps(spec, ops)) is not None
        caught += not possible
        assert Linearizable("register").check(History(ops)).verdict is (
            Verdict.HELD if possible else Verdict.VIOLATED
        )
    assert caught > 10


def test_a_violation_tells_the_fewest_operations_that_show_it() -> None:
    many = [("write", n, n) for n in range(50)] + [("read", None, 49), ("read", None, 7), ("write", 99, 99)]
    (finding,) = Linearizable("register", certify=True).check(calls(*many)).findings
    first, between, last = (op["index"] for op in finding["operations"])
    assert (first, last) == (14, 102)
    assert between > 14
    assert finding["kind"] == "not linearizable"
    assert not any(op["maybe"] for op in finding["operations"])
    assert finding["certified"] == "brute force tried every order"


def test_a_long_history_is_cut_to_the_window_that_shows_it() -> None:
    many = [(f, v, v) for _ in range(200) for f, v in (("write", 1), ("read", 1), ("write", 2), ("read", 2))]
    many[601] = ("read", None, 2)
    (finding,) = Linearizable("cas-register", certify=True).check(calls(*many)).findings
    assert [op["index"] for op in finding["operations"]] == [1200, 1202]
    assert finding["why"] == "no order of the operations explains these 2 answers, whatever was there before"
    assert finding["certified"] == "brute force tried every order"


def test_a_value_that_nobody_wrote_is_shown_alone() -> None:
    many = [(f, v, v) for _ in range(200) for f, v in (("write", 1), ("read", 1), ("write", 2), ("read", 2))]
    (finding,) = Linearizable("cas-register", certify=True).check(calls(*many, ("read", None, 7))).findings
    assert [op["index"] for op in finding["operations"]] == [1600]


def test_time_that_is_over_is_unknown() -> None:
    ops = [Op(i, i, "write", i % 2, None, 0, 1000, OK, i % 2) for i in range(30)]
    ops += [Op(99, 99, "read", None, None, 0, 1000, OK, 7)]
    ops += [Op(i + 40, i, "cas", [i % 3, i % 2], None, 0, 1000, OK, None) for i in range(30)]
    found = Linearizable("cas-register", timeout=0.05).check(History(ops))
    assert found.verdict is Verdict.UNKNOWN
    assert "undecided after 0.05 s" in found.headline


def test_an_operation_of_another_spec_is_named() -> None:
    with pytest.raises(BadInput, match="operation 0: 'add' is no operation of register"):
        Linearizable("register").check(calls(("add", 1, 1)))


@given(st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_huge_times_and_many_keys_are_judged_as_small_ones(seed: int) -> None:
    history = tiny.history(tiny.from_seed(seed), tiny.cas_register, 7, 3)
    before = Linearizable("cas-register").check(history).verdict
    for op in history.ops:
        op.invoked *= 1 << 58
        op.completed = None if op.completed is None else op.completed * (1 << 58)
    assert Linearizable("cas-register").check(History(history.ops)).verdict is before


def test_a_violation_tells_what_could_have_been_answered() -> None:
    (finding,) = (
        Linearizable("register").check(calls(("write", 1, 1), ("write", 2, 2), ("read", None, 1))).findings
    )
    assert finding["needed"] == {"index": 4, "answered": 1, "possible": [2]}


def test_what_could_have_been_answered_is_what_brute_force_accepts() -> None:
    spec: Any = REGISTRY.get("register")()
    compared = 0
    for seed in range(300):
        history = tiny.history(tiny.from_seed(seed), tiny.register, 6)
        if not any(op.outcome is OK for op in history.ops):
            continue
        for finding in Linearizable("register").check(history).findings:
            if "needed" not in finding:
                continue
            shown = {op["index"]: op["maybe"] for op in finding["operations"]}
            ops = [replace(op) for op in history.ops if op.index in shown]
            wrong = next(op for op in ops if op.index == finding["needed"]["index"])
            for value in {None, *(op.value for op in ops if op.f == "write")}:
                wrong.result = value
                found = [replace(s, maybe=shown[s.op.index]) for s in steps(spec, ops)]
                fits = every_order(spec, found) is not None
                assert fits is (value in finding["needed"]["possible"]), seed
                compared += 1
    assert compared > 100
