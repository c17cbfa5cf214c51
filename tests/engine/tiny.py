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


def list_append(pick: Pick, i: int) -> tuple[str, Any, Any]:
    steps = []
    for n in range(1 + pick(3)):
        key = "xy"[pick(2)]
        if pick(2):
            steps.append(["append", key, 10 * i + n])
        else:
            seen = [10 * pick(5) + pick(2) for _ in range(pick(3))]
            steps.append(["r", key, seen])
    return _txn(steps)


def rw_register(pick: Pick, i: int) -> tuple[str, Any, Any]:
    steps: list[list[Any]] = []
    for n in range(1 + pick(3)):
        key = "xy"[pick(2)]
        steps.append(
            ["w", key, 10 * i + n] if pick(2) else ["r", key, [None, 10 * pick(5) + pick(2)][pick(2)]]
        )
    return _txn(steps)


def _txn(steps: list[list[Any]]) -> tuple[str, Any, Any]:
    return "txn", [[f, k, None if f == "r" else v] for f, k, v in steps], steps


def transactions(pick: Pick, writes: str, most: int = 5) -> History:
    """Run one after the other in some order, so mostly right; then, sometimes, one read is made wrong."""
    objects: dict[str, Any] = {}
    ops = []
    for i in range(1 + pick(most)):
        steps: list[list[Any]] = []
        kind = pick(8)
        happens = kind > 1 or (kind == 0 and pick(2))  # 0 is info, 1 is fail
        before = dict(objects)
        for n in range(1 + pick(3)):
            key = "xy"[pick(2)]
            if pick(2):
                steps.append([writes, key, 10 * i + n])
                objects[key] = [*objects.get(key, []), 10 * i + n] if writes == "append" else 10 * i + n
            else:
                seen = objects.get(key)
                steps.append(["r", key, [*(seen or [])] if writes == "append" else seen])
        if not happens:
            objects = before
        f, value, result = _txn(steps)
        outcome = INFO if kind == 0 else FAIL if kind == 1 else OK
        start = 4 * i - pick(8)
        ops.append(
            Op(2 * i, i, f, value, None, start, 4 * i + pick(8), outcome, result if outcome is OK else None)
        )
    reads = [s for op in ops if op.outcome is OK for s in op.result if s[0] == "r"]
    for _ in range(pick(3) if reads else 0):
        one = reads[pick(len(reads))]
        if writes == "append":
            one[2] = [[*one[2][:-1]], [*one[2], 10 * pick(5) + pick(2)], [*one[2][::-1]]][pick(3)]
        else:
            one[2] = [None, 10 * pick(5) + pick(3)][pick(2)]
    return History(sorted(ops, key=lambda op: op.invoked))


def nearly(
    pick: Pick, perform: Callable[[Pick, int, list[Any]], tuple[str, Any, Any]], most: int = 7
) -> History:
    """Mostly right: `perform` does one operation on the state, a list. Then, sometimes, two answers change places."""
    state: list[Any] = []
    ops = []
    for i in range(2 + pick(most - 1)):
        before = [*state]
        f, value, result = perform(pick, i, state)
        kind = pick(10)
        outcome = INFO if kind < 2 else FAIL if kind == 2 else OK
        if outcome is FAIL or kind == 1:
            state[:] = before
        start = 4 * i - pick(10)
        ops.append(
            Op(2 * i, i, f, value, None, start, 4 * i + pick(10), outcome, result if outcome is OK else None)
        )
    looks = [op for op in ops if op.outcome is OK and op.value is None]
    for _ in range(pick(3) if looks else 0):
        one, other = looks[pick(len(looks))], looks[pick(len(looks))]
        one.result, other.result = other.result, one.result
    return History(sorted(ops, key=lambda op: op.invoked))


def by_processes(
    pick: Pick, perform: Callable[[Pick, int, list[Any]], tuple[str, Any, Any]], most: int = 7, keys: int = 2
) -> History:
    """Three processes, whose clocks have nothing to do with one another. Mostly right; then some answers change places."""
    states: list[list[Any]] = [[] for _ in range(keys)]
    process, now, ops = [0, 1, 2], [0, 0, 0], []
    for i in range(2 + pick(most - 1)):
        who, key, kind = pick(3), pick(keys), pick(10)
        before = [*states[key]]
        f, value, result = perform(pick, i, states[key])
        outcome = INFO if kind < 2 else FAIL if kind == 2 else OK
        if outcome is FAIL or kind == 1:
            states[key][:] = before
        start = now[who] + pick(3)
        now[who] = start + pick(4)
        answer = result if outcome is OK else None
        error = "mismatch" if outcome is FAIL and f == "cas" and pick(2) else ""
        name = None if keys == 1 else f"k{key}"
        ops.append(Op(2 * i, process[who], f, value, name, start, now[who], outcome, answer, error))
        if outcome is INFO:
            process[who] += 3
    looks = [op for op in ops if op.outcome is OK and op.value is None]
    for _ in range(pick(3) if looks else 0):
        one, other = looks[pick(len(looks))], looks[pick(len(looks))]
        one.result, other.result = other.result, one.result
    return History(sorted(ops, key=lambda op: op.invoked))


def of_a_cas_register(pick: Pick, i: int, state: list[Any]) -> tuple[str, Any, Any]:
    """Every value is written once."""
    there = state[0] if state else None
    f = pick(3)
    if f == 0:
        return "read", None, there
    state[:] = [i]
    return ("write", i, i) if f == 1 else ("cas", [there, i], [there, i])


def of_a_queue(pick: Pick, i: int, state: list[Any]) -> tuple[str, Any, Any]:
    if pick(2):
        state.append(i)
        return "enqueue", i, i
    return "dequeue", None, state.pop(0) if state else None


def of_a_set(pick: Pick, i: int, state: list[Any]) -> tuple[str, Any, Any]:
    if pick(2):
        state.append(i)
        return "add", i, i
    return "read", None, [*state]


def of_a_counter(pick: Pick, i: int, state: list[Any]) -> tuple[str, Any, Any]:
    if pick(2):
        state.append(1 + pick(3))
        return "add", state[-1], None
    return "read", None, sum(state)


def of_a_register(pick: Pick, i: int, state: list[Any]) -> tuple[str, Any, Any]:
    if pick(2):
        state[:] = [i]
        return "write", i, i
    return "read", None, state[0] if state else None


def _maybe(pick: Pick, n: int) -> int | None:
    found = pick(n + 1)
    return None if found == n else found


def of_a_bank(pick: Pick, i: int, state: list[Any]) -> tuple[str, Any, Any]:
    if not state:
        state[:] = [10, 10]
    if pick(2):
        amount = 1 + pick(3)
        state[:] = [state[0] - amount, state[1] + amount]
        return "transfer", {"from": "a", "to": "b", "amount": amount}, None
    return "read", None, {"a": state[0], "b": state[1]}
