"""Sequential consistency: what it allows beyond linearizability, what it forbids, and when it is unknown."""

from typing import Any

from engine.checkers import REGISTRY
from engine.checkers.linearizable import Linearizable
from engine.history import History, Op
from engine.samples import Outcome
from engine.verdict import Judgement, Verdict

OK = Outcome.OK


def judged(*given: tuple[int, str, Any], **params: Any) -> Judgement:
    """Of one operation after the other by the clock: process, f, and what was written or read."""
    made: Any = REGISTRY.get("sequential")
    judgement: Judgement = made(**params).check(in_turn(*given))
    return judgement


def in_turn(*given: tuple[int, str, Any]) -> History:
    return History(
        [
            Op(2 * i, process, f, None if f == "read" else value, None, 4 * i, 4 * i + 1, OK, value)
            for i, (process, f, value) in enumerate(given)
        ]
    )


def test_an_old_answer_is_allowed_while_its_client_never_saw_the_new_one() -> None:
    stale = (0, "write", 1), (0, "write", 2), (1, "read", 1), (1, "read", 2)
    assert Linearizable("register").check(in_turn(*stale)).verdict is Verdict.VIOLATED
    assert judged(*stale).verdict is Verdict.HELD
    assert judged(*stale, (1, "read", 1)).verdict is Verdict.VIOLATED


def test_it_holds_over_all_keys_together() -> None:
    """Each key by itself has an order; both together have none."""
    ops = [
        Op(0, 0, "write", 1, "x", 0, 1, OK, 1), Op(2, 1, "write", 1, "y", 0, 1, OK, 1),
        Op(4, 0, "read", None, "y", 2, 3, OK, None), Op(6, 1, "read", None, "x", 2, 3, OK, None),
    ]  # fmt: skip
    made: Any = REGISTRY.get("sequential")
    (finding,) = made(certify=True).check(History(ops)).findings
    assert [edge["edge"] for edge in finding["cycle"]].count("process") == 2
    assert finding["certified"] == "brute force tried every order"
    for key in ("x", "y"):
        assert made().check(History([op for op in ops if op.key == key])).verdict is Verdict.HELD


def test_what_processes_met_tells_the_order_of_the_writes_and_is_named() -> None:
    (finding,) = judged(
        (0, "write", 1), (1, "write", 2), (2, "read", 1), (2, "read", 2), (3, "read", 2), (3, "read", 1)
    ).findings
    assert "of process 3 show" in finding["why"] or "of process 2 show" in finding["why"]


def test_of_a_long_history_of_repeated_values_the_few_are_shown_that_cannot_be() -> None:
    many = [(0, "write", n % 3) for n in range(1500)]
    found = judged(*many, (1, "read", 2), (1, "read", 7), (1, "read", 1))
    assert found.verdict is Verdict.VIOLATED
    assert [op["result"] for op in found.findings[0]["operations"]] == [7]


def test_a_proof_takes_long_histories_and_says_so() -> None:
    found = judged(*[(n % 5, "write", n) for n in range(3000)], (0, "read", 2999), certify=True)
    assert found.headline.endswith("certified by the replay of an order")


def test_what_is_not_decided_in_time_is_unknown() -> None:
    """Two processes whose writes and reads go together in one way of very many."""
    many = [(n % 6, "write", n * 7 % 5) for n in range(600)]
    looks = [(6 + n % 2, "read", n * 3 % 5) for n in range(200)]
    found = judged(*many, *looks, (8, "read", 1), (8, "read", 9), (8, "write", 9), timeout=0.001)
    assert found.verdict is Verdict.UNKNOWN
    assert "undecided after 0.001 s; a longer timeout may decide it" in found.headline
