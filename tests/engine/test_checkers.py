"""Queues, counters, banks, sets and sessions: against brute force on tiny histories, and what a violation tells."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings

from engine.checkers import REGISTRY
from engine.checkers.counter import Counter
from engine.checkers.queue import Queue
from engine.checkers.sessions import Sessions
from engine.history import History, Op
from engine.replay import every_order, steps
from engine.samples import Outcome
from engine.specs import REGISTRY as SPECS
from engine.verdict import Verdict
from tests.engine import tiny

OK, FAIL, INFO = Outcome


def answered(history: History) -> bool:
    return any(op.outcome is OK for op in history.ops)


def possible(name: str, history: History) -> bool:
    spec: Any = SPECS.get(name)()
    return every_order(spec, steps(spec, history.ops)) is not None


@settings(max_examples=80, deadline=None)
@given(pick=tiny.picks())
def test_a_queue_is_judged_as_by_brute_force(pick: tiny.Pick) -> None:
    history = tiny.nearly(pick, tiny.of_a_queue, 6)
    if answered(history):
        found = Queue(certify=True).check(history)
        assert found.verdict is (Verdict.HELD if possible("queue", history) else Verdict.VIOLATED)


def test_a_queue_is_judged_as_by_brute_force_on_many_from_seeds() -> None:
    for seed in range(250):
        for history in (
            tiny.nearly(tiny.from_seed(seed), tiny.of_a_queue), tiny.history(tiny.from_seed(seed), tiny.queue),
        ):  # fmt: skip
            if answered(history):
                expected = Verdict.HELD if possible("queue", history) else Verdict.VIOLATED
                assert Queue().check(history).verdict is expected, seed


@pytest.mark.parametrize(
    ("name", "perform"), [("counter", tiny.of_a_counter), ("set", tiny.of_a_set)], ids=["counter", "set"]
)
def test_what_it_calls_violated_is_impossible_and_one_wrong_answer_is_mostly_caught(
    name: str, perform: Callable[..., Any]
) -> None:
    caught = impossible = 0
    for seed in range(600):
        history = tiny.nearly(tiny.from_seed(seed), perform)
        violated = REGISTRY.get(name)().check(history).verdict is Verdict.VIOLATED
        wrong = not possible(name, history)
        assert wrong or not violated, seed
        caught += violated
        impossible += wrong
    assert caught > 0.7 * impossible > 10


@settings(max_examples=80, deadline=None)
@given(pick=tiny.picks())
def test_the_bounds_of_a_counter_are_those_of_adding_up(pick: tiny.Pick) -> None:
    history = tiny.nearly(pick, tiny.of_a_counter)
    adds = [op for op in history.ops if op.f == "add" and op.outcome is not FAIL]
    outside = 0
    for read in history.ops:
        if read.f != "read" or read.outcome is not OK:
            continue
        ended = [op.value for op in adds if op.outcome is OK and (op.completed or 0) < read.invoked]
        begun = [op.value for op in adds if op.invoked <= (read.completed or 0)]
        outside += not sum(ended) <= read.result <= sum(begun)
    found = Counter().check(history)
    assert sum(finding["kind"] == "out of bounds" for finding in found.findings) == outside


# Sessions


def older(write: Op | None, other: Op) -> bool:
    """Is what `write` wrote, or null, for certain older than what `other` wrote?"""
    if write is None:
        return True
    return write.outcome is OK and write.completed is not None and write.completed < other.invoked


def broken_sessions(history: History) -> set[tuple[str, int]]:
    """By their definitions: the kind and the index of each read that breaks a guarantee."""
    writes = {op.value: op for op in history.ops if op.f == "write" and op.outcome is not FAIL}
    found = set()

    def before(op: Op) -> list[Op]:
        return [o for o in history.ops if o.process == op.process and o.outcome is OK and o.index < op.index]

    for read in history.ops:
        if (
            read.f != "read"
            or read.outcome is not OK
            or (read.result is not None and read.result not in writes)
        ):
            continue
        got = writes.get(read.result)
        for earlier in before(read):
            if earlier.f == "write" and older(got, earlier):
                found.add(("read your writes", read.index))
            if earlier.f != "read" or earlier.result not in writes:
                continue
            seen = writes[earlier.result]
            if older(got, seen):
                found.add(("monotonic reads", read.index))
                if got is not None and got.process == seen.process:
                    found.add(("monotonic writes", read.index))
            if seen.outcome is OK:
                led = [writes[o.result] for o in before(seen) if o.f == "read" and o.result in writes]
                if any(older(got, one) for one in led):
                    found.add(("writes follow reads", read.index))
    return found


def in_sessions(pick: tiny.Pick) -> History:
    """Three clients, each with one operation after the other."""
    now, ops = [0, 0, 0], []
    for i in range(3 + pick(8)):
        process = pick(3)
        start = now[process] + pick(4)
        end = now[process] = start + 1 + pick(6)
        outcome = FAIL if not pick(8) else OK
        if pick(2):
            ops.append(Op(i, process, "write", i, None, start, end, outcome, i if outcome is OK else None))
        else:
            result = [None, pick(11)][pick(2)] if outcome is OK else None
            ops.append(Op(i, process, "read", None, None, start, end, outcome, result))
    return History(ops)


def test_sessions_are_judged_by_their_definitions() -> None:
    kinds = set()
    for seed in range(800):
        history = in_sessions(tiny.from_seed(seed))
        found = Sessions().check(history)
        told = {(finding["kind"], finding["operations"][-1]["index"]) for finding in found.findings}
        expected = broken_sessions(history)
        assert {kind for kind, _ in told} == {kind for kind, _ in expected}, seed
        kinds |= {kind for kind, _ in expected}
    assert len(kinds) == 4


def test_a_broken_session_shows_the_older_and_the_newer_write_and_the_read() -> None:
    ops = [
        Op(0, 0, "write", 1, None, 0, 1, OK, 1), Op(2, 0, "write", 2, None, 2, 3, OK, 2),
        Op(4, 0, "read", None, None, 4, 5, OK, 1),
    ]  # fmt: skip
    (finding,) = Sessions().check(History(ops)).findings
    assert finding["kind"] == "read your writes"
    assert [op["index"] for op in finding["operations"]] == [0, 2, 4]


def test_a_dequeue_without_an_answer_may_have_taken_what_is_missing() -> None:
    ops = [
        Op(0, 0, "enqueue", 1, None, 0, 1, OK, 1), Op(2, 0, "enqueue", 2, None, 2, 3, OK, 2),
        Op(4, 1, "dequeue", None, None, 4, None, INFO), Op(6, 2, "dequeue", None, None, 6, 7, OK, 2),
    ]  # fmt: skip
    assert Queue().check(History(ops)).verdict is Verdict.HELD
    ops[2].outcome = FAIL
    (finding,) = Queue().check(History(ops)).findings
    assert finding["why"] == "it came out before the other, which went in first and never did"
