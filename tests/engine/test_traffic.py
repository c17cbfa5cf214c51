"""Rule removed against traffic resumed: on readings made by hand, one every 100 ms."""

from typing import Any

from engine.history import History, Op
from engine.samples import Outcome
from engine.series import of_operations
from engine.traffic import OPERATIONS, told, traffic
from tests.engine.test_recovery import MS, made

FAULT = {"nodes": ["n1"], "injected_at": 0.15, "healing_at": 0.45, "healed_at": 0.48}


def ns(at: float) -> int:
    return int(at * 1e9)


def rows(fault: dict[str, Any] = FAULT, **flows: str) -> list[dict[str, Any]]:
    return traffic(fault, {name: made(marks) for name, marks in flows.items()}, ns)


def test_removed_and_resumed_are_two_times() -> None:
    (row,) = rows(n1="..xxxx....", n2="..........")
    assert row == {"of": "n1", "stopped": True, "resumed_at": 0.601, "after": 0.121, "uncertainty": 0.101}
    assert told({**FAULT, "traffic": [row]}) == [
        "it was gone at 0.48 s; traffic to n1 went again 121 ms later ± 101 ms"
    ]


def test_a_node_that_was_not_meant_and_stopped_all_the_same_is_told() -> None:
    assert [row["of"] for row in rows(n1="..xxxx....", n2="..xxxxx...", n3="..........")] == ["n1", "n2"]


def test_what_never_went_again_says_so() -> None:
    (row,) = rows(n1="..xxxxxx")
    assert (row["stopped"], row["resumed_at"], row["after"], row["uncertainty"]) == (True, None, None, None)
    assert told({**FAULT, "traffic": [row]}) == ["it was gone at 0.48 s; traffic to n1 never went again"]


def test_what_passed_all_the_time_says_so() -> None:
    (row,) = rows(n1="..........")
    assert told({**FAULT, "traffic": [row]}) == ["traffic to n1 passed while it was there"]


def test_what_went_again_before_the_read_back_is_not_later_than_it() -> None:
    (row,) = rows({**FAULT, "healing_at": 0.35, "healed_at": 0.55}, n1="..xx.....")
    assert (row["resumed_at"], row["after"]) == (0.401, 0.0)


def test_a_fault_that_was_never_seen_to_be_gone_has_no_such_times() -> None:
    assert rows({**FAULT, "healed_at": None}, n1="..xxxx..") == []
    assert told({**FAULT, "healed_at": None, "traffic": []}) == []


def test_a_fault_whose_healing_nobody_told_of_counts_from_the_read_back() -> None:
    (row,) = rows({**FAULT, "healing_at": None}, n1="..xxxx....")
    assert row["after"] == 0.121


def test_operations_resume_with_the_first_that_is_acknowledged() -> None:
    ops = [
        Op(i, 0, "add", i, None, t * MS, (t + 1) * MS, Outcome.OK) for i, t in enumerate(range(0, 200, 10))
    ]
    ops.append(Op(90, 0, "add", 90, None, 210 * MS, None))
    ops += [Op(i, 1, "add", i, None, t * MS, (t + 1) * MS, Outcome.OK) for i, t in ((91, 700), (92, 710))]
    (row,) = traffic(FAULT, {OPERATIONS: of_operations(History(ops))}, ns)
    assert (row["of"], row["resumed_at"], row["after"]) == (OPERATIONS, 0.701, 0.221)
