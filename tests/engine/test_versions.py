"""Judging by the versions that a store tells: against brute force on tiny histories, and what a violation tells."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings

from engine.checkers.linearizable import Linearizable
from engine.checkers.versions import Versions
from engine.history import History, Op
from engine.replay import every_order, steps
from engine.samples import Outcome
from engine.specs import REGISTRY
from engine.verdict import Verdict
from tests.engine import tiny

OK, FAIL, INFO = Outcome
State = tuple[
    int, int, Any
]  # the version is above the first, and is the second where that is not -1; the value


def versioned(pick: tiny.Pick, most: int = 6, cas: bool = True) -> History:
    """Mostly right; then, sometimes, two reads change places, or one is told another version."""
    ops, version, value = [], 0, None
    for i in range(2 + pick(most - 1)):
        f = ("read", "write", "cas")[pick(3 if cas else 2)]
        asked: Any = None if f == "read" else 10 + i if pick(4) else 10
        kind = pick(10)
        outcome = INFO if kind < 2 else FAIL if kind == 2 else OK
        if f == "cas":
            asked = [value, asked]
        if f != "read" and outcome is not FAIL and kind != 1:
            version, value = version + 1 + pick(2), asked[1] if f == "cas" else asked
        start = 4 * i - pick(10)
        answered = outcome is OK
        result = (value if f == "read" else asked) if answered else None
        ops.append(
            Op(
                2 * i,
                i,
                f,
                asked,
                None,
                start,
                4 * i + pick(10),
                outcome,
                result,
                "",
                None,
                version if answered else None,
            )
        )
    reads = [op for op in ops if op.f == "read" and op.outcome is OK]
    if len(reads) > 1 and pick(2):
        one, other = reads[pick(len(reads))], reads[pick(len(reads))]
        one.result, other.result, one.version, other.version = (
            other.result,
            one.result,
            other.version,
            one.version,
        )
    elif reads and pick(2):
        reads[pick(len(reads))].version = pick(8)
    return History(sorted(ops, key=lambda op: op.invoked))


def possible(history: History) -> bool:
    """Is there an order in which each answer fits in with its version? Every order is tried."""
    ops = [op for op in history.ops if op.outcome is not FAIL and not (op.outcome is INFO and op.f == "read")]
    return _extend(ops, (-1, 0, None), True)


def _extend(left: list[Op], state: State, fresh: bool) -> bool:
    if all(op.outcome is INFO for op in left):
        return True
    for op in left:
        if any(
            o.outcome is OK and o.completed is not None and o.completed < op.invoked
            for o in left
            if o is not op
        ):
            continue
        after = _step(op, state, fresh)
        if after and _extend([o for o in left if o is not op], *after):
            return True
    return False


def _step(op: Op, state: State, fresh: bool) -> tuple[State, bool] | None:
    low, exact, value = state
    if op.f == "read":
        if op.result != value or op.version is None:
            return None
        if fresh and value is None:  # what was there at first may have any version
            return ((low, op.version, value), False) if low < op.version else None
        fits = op.version == exact if exact >= 0 else op.version > low
        return ((low, op.version, value), False) if fits else None
    if op.f == "cas" and op.value[0] != value:
        return None
    new, least = op.value[1] if op.f == "cas" else op.value, -1 if fresh else max(low, exact)
    if op.outcome is INFO:
        return (least if exact >= 0 or fresh else low + 1, -1, new), False
    assert op.version is not None
    floor = least if exact >= 0 or fresh else low + 1
    return ((floor, op.version, new), False) if op.version > floor else None


def agrees(history: History) -> Verdict:
    if all(op.version is None for op in history.ops):
        return Verdict.UNKNOWN
    found = Versions("cas-register", certify=True).check(history)
    if found.verdict is not Verdict.UNKNOWN:
        assert found.verdict is (Verdict.HELD if possible(history) else Verdict.VIOLATED), found
    if found.verdict is Verdict.HELD:
        spec: Any = REGISTRY.get("cas-register")()
        assert every_order(spec, steps(spec, history.ops)) is not None
        assert Linearizable("cas-register").check(history).verdict is Verdict.HELD
    return found.verdict


@settings(max_examples=100, deadline=None)
@given(pick=tiny.picks())
def test_versions_are_judged_as_by_brute_force(pick: tiny.Pick) -> None:
    agrees(versioned(pick))


def test_versions_are_judged_as_by_brute_force_on_many_from_seeds() -> None:
    told = [agrees(versioned(tiny.from_seed(seed))) for seed in range(600)]
    assert min(told.count(verdict) for verdict in (Verdict.HELD, Verdict.VIOLATED)) > 80
    assert told.count(Verdict.UNKNOWN) < len(told) / 3


def history(*given: tuple[str, Any, int | None]) -> History:
    """One after the other: f, value and version."""
    ops = [
        Op(
            2 * i,
            0,
            f,
            None if f == "read" else value,
            None,
            10 * i,
            10 * i + 5,
            OK,
            value,
            "",
            None,
            version,
        )
        for i, (f, value, version) in enumerate(given)
    ]
    return History(ops)


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ((("write", 1, 4), ("write", 2, 7), ("read", 1, 4)), "backwards"),
        ((("write", 1, 4), ("write", 2, 4)), "one version twice"),
        ((("write", 1, 4), ("read", 2, 4)), "one version, two values"),
        ((("write", 1, 4), ("read", 2, 5)), "unwritten"),
        ((("write", 1, 4), ("cas", [3, 2], 5)), "cas of another value"),
    ],
)
def test_each_violation_is_named_with_the_operations_and_versions_that_show_it(given: Any, kind: str) -> None:
    found = Versions("cas-register").check(history(*given))
    assert (found.verdict, found.findings[0]["kind"]) == (Verdict.VIOLATED, kind)
    assert all("version" in op for op in found.findings[0]["operations"])


def test_an_answer_without_a_version_is_not_judged() -> None:
    right = history(("write", 1, 4), ("read", 1, 4))
    assert Versions().check(right).verdict is Verdict.HELD
    ops = [replace(op) for op in right.ops]
    ops[1].version = None
    assert Versions().check(History(ops)).verdict is Verdict.UNKNOWN
