"""Tiny histories of every kind, as many as one likes: for checkers to be compared with brute force.

`pick(n)` gives a number below n: from a seed, or from hypothesis, which then finds the smallest that fails.
"""

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from engine.history import History, Op
from engine.samples import Outcome

OK, FAIL, INFO = Outcome
Pick = Callable[[int], int]


def from_seed(seed: int) -> Pick:
    return random.Random(seed).randrange


@st.composite
def picks(draw: Any) -> Pick:
    return lambda n: draw(st.integers(0, n - 1))


def history(
    pick: Pick, make: Callable[[Pick, int], tuple[str, Any, Any]], most: int = 6, keys: int = 1
) -> History:
    """`make(pick, i)` gives f, value and result of the i-th operation. Times are few, so many are equal."""
    ops = []
    for i in range(1 + pick(most)):
        f, value, result = make(pick, i)
        start = pick(8)
        kind = pick(8)
        outcome = INFO if kind == 0 else FAIL if kind == 1 else OK
        error = "mismatch" if outcome is FAIL and f == "cas" and pick(2) else ""
        end = None if outcome is INFO and pick(2) else start + pick(6)
        key = None if keys == 1 else f"k{pick(keys)}"
        ops.append(Op(2 * i, i, f, value, key, start, end, outcome, result if outcome is OK else None, error))
    return History([replace(op) for op in sorted(ops, key=lambda op: op.invoked)])


def register(pick: Pick, i: int) -> tuple[str, Any, Any]:
    """Every value is written once."""
    return ("write", i, i) if pick(2) else ("read", None, _maybe(pick, 6))


def cas_register(pick: Pick, i: int) -> tuple[str, Any, Any]:
    """Every value is written once, by a write or a cas."""
    f = pick(3)
    if f == 0:
        return ("read", None, _maybe(pick, 6))
    old = _maybe(pick, 6)
    return ("write", i, i) if f == 1 else ("cas", [old, i], [old, i])


def repeating(pick: Pick, i: int) -> tuple[str, Any, Any]:
    """A cas-register with two values."""
    f, a, b = pick(3), pick(2), pick(2)
    if f == 0:
        return ("read", None, _maybe(pick, 2))
    return ("write", a, a) if f == 1 else ("cas", [a, b], [a, b])


def kv(pick: Pick, i: int) -> tuple[str, Any, Any]:
    f, text = pick(3), "ab"[pick(2)]
    if f == 0:
        return ("get", None, [None, "a", "b", "ab", "ba"][pick(5)])
    return ("put" if f == 1 else "append", text, text)


def queue(pick: Pick, i: int) -> tuple[str, Any, Any]:
    return ("enqueue", i, i) if pick(2) else ("dequeue", None, _maybe(pick, 6))


def elements(pick: Pick, i: int) -> tuple[str, Any, Any]:
    if pick(2):
        return ("add", i, i)
    return ("read", None, [n for n in range(6) if pick(2)])


def counter(pick: Pick, i: int) -> tuple[str, Any, Any]:
    return ("add", 1 + pick(3), None) if pick(2) else ("read", None, pick(8))


def _maybe(pick: Pick, n: int) -> int | None:
    found = pick(n + 1)
    return None if found == n else found
