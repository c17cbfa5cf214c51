"""The set checker: held, violated and unknown histories, side by side."""

from typing import Any

import pytest

from engine.checkers.set import Set
from engine.elements import counts
from engine.history import History, Op
from engine.samples import Outcome
from engine.verdict import Judgement, Verdict

OK, FAIL, INFO = Outcome


def history(*calls: tuple[str, Any, Outcome]) -> History:
    """Operations one after the other: (add, element, outcome) or (read, elements, outcome)."""
    ops = []
    for i, (f, value, outcome) in enumerate(calls):
        result = value if outcome is OK else None
        asked = None if f == "read" else value
        ops.append(Op(2 * i, i, f, asked, None, 10 * i, 10 * i + 5, outcome, result))
    return History(ops)


def check(*calls: tuple[str, Any, Outcome]) -> Judgement:
    return Set().check(history(*calls))


HELD = {
    "every acknowledged element is there": [("add", 1, OK), ("add", 2, OK), ("read", [1, 2], OK)],
    "an unknown one is there": [("add", 1, OK), ("add", 2, INFO), ("read", [1, 2], OK)],
    "an unknown one is not there": [("add", 1, OK), ("add", 2, INFO), ("read", [1], OK)],
    "a failed one is not there": [("add", 1, OK), ("add", 2, FAIL), ("read", [1], OK)],
    "an early read did not know": [("read", [], OK), ("add", 1, OK), ("add", 2, OK), ("read", [1, 2], OK)],
    "a later read failed": [("add", 1, OK), ("read", [1], OK), ("read", None, INFO)],
}
VIOLATED = {
    "lost": [("add", 1, OK), ("add", 2, OK), ("read", [2], OK)],
    "unexpected": [("add", 1, OK), ("read", [1, 99], OK)],
    "duplicated": [("add", 1, OK), ("read", [1, 1], OK)],
    "stale": [("add", 1, OK), ("read", [], OK), ("add", 2, OK), ("read", [1, 2], OK)],
    "resurrected": [("add", 1, OK), ("read", [1], OK), ("read", [], OK), ("read", [1], OK)],
    "vanished": [("add", 1, OK), ("add", 2, INFO), ("read", [1, 2], OK), ("read", [1], OK)],
}
UNKNOWN = {
    "nothing happened": [],
    "nothing was acknowledged": [("add", 1, INFO), ("read", [1], OK)],
    "the set could not be read": [("add", 1, OK), ("read", None, INFO)],
    "acknowledged after the read began": [("read", [], OK), ("add", 1, OK)],
}


@pytest.mark.parametrize("calls", HELD.values(), ids=HELD)
def test_it_holds_when(calls: list[Any]) -> None:
    assert check(*calls).verdict is Verdict.HELD


@pytest.mark.parametrize(("kind", "calls"), VIOLATED.items(), ids=VIOLATED)
def test_it_is_violated_when_an_element_is(kind: str, calls: list[Any]) -> None:
    found = check(*calls)
    assert found.verdict is Verdict.VIOLATED
    assert [finding["kind"] for finding in found.findings] == [kind]


@pytest.mark.parametrize("calls", UNKNOWN.values(), ids=UNKNOWN)
def test_it_is_unknown_when(calls: list[Any]) -> None:
    assert check(*calls).verdict is Verdict.UNKNOWN


def test_a_lost_element_says_who_added_it_and_when_it_was_acknowledged() -> None:
    (finding,) = check(("add", 1, OK), ("add", 2, OK), ("read", [2], OK)).findings
    assert finding == {"kind": "lost", "element": 1, "acknowledged_at": 5, "process": 0, "index": 0}


def test_a_stale_read_is_shown_with_the_adding_that_it_lacks() -> None:
    (finding,) = check(("add", 1, OK), ("read", [], OK), ("read", [1], OK)).findings
    assert finding["why"] == "it was acknowledged before this read, which lacks it"
    assert [op["index"] for op in finding["operations"]] == [0, 2]


def test_reading_an_element_whose_adding_failed_is_unexpected() -> None:
    (finding,) = check(("add", 1, OK), ("add", 2, FAIL), ("read", [1, 2], OK)).findings
    assert (finding["kind"], finding["element"], finding["why"]) == (
        "unexpected",
        2,
        "its adding certainly failed",
    )


def test_the_counts_are_those_of_the_report() -> None:
    calls = [("add", 1, OK), ("add", 2, OK), ("add", 3, FAIL), ("add", 4, INFO), ("read", [2, 4], OK)]
    assert counts(history(*calls)) == {
        "attempted": 4, "acknowledged": 2, "failed": 1, "unknown": 1, "read_back": 2, "lost": 1,
    }  # fmt: skip
    assert counts(history(*calls[:-1]))["lost"] is None
