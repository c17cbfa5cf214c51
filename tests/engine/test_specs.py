"""Specs: what may follow what, one operation after the other."""

from typing import Any

import pytest

from engine.errors import BadInput
from engine.history import Op
from engine.samples import Outcome
from engine.specs import ILLEGAL, REGISTRY

OK, FAIL, INFO = Outcome


def op(f: str, value: Any, result: Any = None, outcome: Outcome = OK, error: str = "") -> Op:
    return Op(7, 0, f, value, None, 0, 1, outcome, result, error)


def legal(name: str, *ops: Op) -> bool:
    """Could these have been answered so, in this order?"""
    spec: Any = REGISTRY.get(name)()
    state = spec.initial
    for part in (part for one in ops for part in spec.parts(one)):
        call = spec.call(part)
        if call is None:
            continue
        after = spec.step(state, call)
        if after is ILLEGAL:
            return False
        assert after == state or not spec.looks(call)
        state = after
    return True


def txn(f: str, *steps: list[Any]) -> Op:
    return op("txn", [[*s[:2], None if s[0] == "r" else s[2]] for s in steps], [*steps])


READ_NULL, READ_1, WRITE_1 = op("read", None, None), op("read", None, 1), op("write", 1, 1)
MOVED = op("transfer", {"from": "a", "to": "b", "amount": 3})
PAIRS = {
    "register": [
        ([READ_NULL, WRITE_1, READ_1], [READ_1]),
        ([op("write", 1, None, INFO), READ_1], [op("write", 1, None, FAIL), READ_1]),
        ([op("write", True), op("read", None, True)], [op("write", True), READ_1]),
        ([op("read", None, None, INFO), READ_NULL], [WRITE_1, READ_NULL]),
    ],
    "cas-register": [
        ([WRITE_1, op("cas", [1, 2]), op("read", None, 2)], [op("cas", [1, 2])]),
        ([WRITE_1, op("cas", [2, 3], None, FAIL, "mismatch")], [WRITE_1, op("cas", [1, 3], None, FAIL, "mismatch")]),
        ([WRITE_1, op("cas", [1, 3], None, FAIL, "refused"), READ_1], [WRITE_1, op("cas", [1, 3]), READ_1]),
    ],
    "kv": [
        ([op("get", None), op("append", "a"), op("append", "b"), op("get", None, "ab")], [op("append", "a"), op("get", None)]),
        ([op("put", "x"), op("append", "y"), op("get", None, "xy")], [op("put", "x"), op("get", None, "xy")]),
    ],
    "set": [
        ([op("add", 1), op("read", None, [1])], [op("add", 1), op("read", None, [])]),
        ([op("add", 1), op("add", 2), op("read", None, [2, 1])], [op("add", 1), op("read", None, [1, 1])]),
    ],
    "queue": [
        (
            [op("enqueue", 1), op("enqueue", 2), op("dequeue", None, 1), op("dequeue", None, 2), op("dequeue", None)],
            [op("enqueue", 1), op("enqueue", 2), op("dequeue", None, 2)],
        ),
        ([op("enqueue", 1), op("drain", None, [1])], [op("enqueue", 1), op("dequeue", None)]),
        (
            [op("enqueue", 1), op("dequeue", None, None, INFO), op("dequeue", None)],
            [op("enqueue", 1), op("dequeue", None, None, FAIL), op("dequeue", None)],
        ),
    ],
    "counter": [
        ([op("add", 2), op("add", -5), op("read", None, -3)], [op("add", 2), op("read", None, 0)]),
    ],
    "bank": [
        (
            [op("read", None, {"a": 5, "b": 5}), MOVED, op("read", None, {"b": 8, "a": 2})],
            [op("read", None, {"a": 5, "b": 5}), MOVED, op("read", None, {"a": 5, "b": 8})],
        ),
        ([MOVED, op("read", None, {"a": 5, "b": 5})], [MOVED, op("read", None, {"a": 5})]),
    ],
    "list-append": [
        (
            [txn("txn", ["append", "x", 1], ["r", "x", [1]]), txn("txn", ["r", "x", [1]], ["r", "y", None])],
            [txn("txn", ["append", "x", 1], ["r", "x", []])],
        ),
    ],
    "rw-register": [
        ([txn("txn", ["w", "x", 1], ["r", "x", 1], ["r", "y", None])], [txn("txn", ["w", "x", 1]), txn("txn", ["r", "x", None])]),
    ],
}  # fmt: skip
CASES = [(name, *pair) for name, pairs in PAIRS.items() for pair in pairs]


@pytest.mark.parametrize(("name", "right", "wrong"), CASES)
def test_it_allows_the_one_and_not_the_other(name: str, right: list[Op], wrong: list[Op]) -> None:
    assert legal(name, *right)
    assert not legal(name, *wrong)


def test_every_spec_has_its_pairs() -> None:
    assert set(PAIRS) == set(REGISTRY.names())


@pytest.mark.parametrize(
    ("name", "one", "words"),
    [
        ("register", op("add", 1), "operation 7: 'add' is no operation of register; there are: read, write"),
        ("cas-register", op("cas", 3), r"cas takes \[old, new\], not 3"),
        ("kv", op("append", 3), "append takes a text"),
        ("set", op("read", None, 3), "must answer a list"),
        ("counter", op("add", "x"), "must have a number"),
        ("bank", op("transfer", 3), "transfer takes"),
        ("bank", op("read", None, 3), "must answer the balances"),
        ("list-append", op("txn", [], 3), "is a list of steps"),
        ("list-append", op("txn", [], [["w", "x", 1]]), 'a step is .*"append"'),
        ("list-append", op("txn", [], [["r", "x", 1]]), "must be a list"),
        ("queue", op("enqueue", None), "null cannot be enqueued"),
    ],
)
def test_an_operation_that_is_none_of_its_own_is_named(name: str, one: Op, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        legal(name, one)
