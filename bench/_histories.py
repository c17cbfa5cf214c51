"""Histories for the bench: right by making, each operation taking effect at a moment between its start and its end."""

import random
from dataclasses import replace
from typing import Any

import numpy as np

from engine.columns import NONE, Columns, Ints, Table
from engine.samples import Outcome

STEP = 1000  # ns between the moments at which operations take effect


def _around(count: int, clients: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
    moments = np.arange(count, dtype=np.int64) * STEP
    most = max(2, STEP * clients // 2)
    return moments - rng.integers(1, most, count), moments + rng.integers(1, most, count)


def _columns(
    names: list[str], f: Ints, key: Ints, keys: Table, value: Ints, result: Ints, values: Table,
    times: tuple[Ints, Ints], info: Ints | None = None,
) -> Columns:  # fmt: skip
    count = len(f)
    fs = Table()
    fs.codes(names)
    outcome = np.zeros(count, np.int8)
    if info is not None:
        outcome[info] = Outcome.INFO
    order = np.argsort(times[0], kind="stable")
    result = np.where(outcome == Outcome.OK, result, NONE)
    index = np.arange(count, dtype=np.int64)
    nothing = np.zeros(count, np.int64)
    return Columns(
        2 * index, index, f[order], key[order], value[order], result[order], times[0][order], times[1][order],
        2 * index + 1, outcome[order], nothing, fs, keys, values, Table(),
    )  # fmt: skip


def register(count: int, keys: int, clients: int = 20, info: float = 0.0, wrong: bool = False) -> Columns:
    """Half reads, half writes of unique values. Where it is wrong, one read gives a value long gone."""
    rng = np.random.default_rng(count + keys)
    times = _around(count, clients, rng)
    key = rng.integers(1, keys + 1, count)
    write = rng.random(count) < 0.5
    number = np.arange(1, count + 1)
    result = np.where(write, number, _last_written(key, write, number))
    pending = np.flatnonzero(write & (rng.random(count) < info))
    if wrong:
        reads = np.flatnonzero(~write & (key == 1))
        late, early = reads[len(reads) * 3 // 4], reads[len(reads) // 4]
        result[late] = result[early]
    values, names = Table(), Table()
    values.codes(range(1, count + 1))
    names.codes([f"k{i}" for i in range(keys)])
    f = np.where(write, 2, 1)
    return _columns(
        ["read", "write"], f, key, names, np.where(write, number, NONE), result, values, times, pending
    )


def lagging(count: int, clients: int = 20, wrong: bool = False) -> Columns:
    """A hundred keys; odd clients read a copy that lags more and more behind, of which the clock knows nothing.

    Each client does one operation after the other. Where it is wrong, one of them reads an old value again.
    """
    rng = np.random.default_rng(count)
    moments = np.arange(count, dtype=np.int64)
    client = moments % clients
    key = rng.integers(1, 101, count)
    write = (client % 2 == 0) & (rng.random(count) < 0.5)
    result = np.where(write, moments + 1, _last_written(key, write, moments + 1))
    if wrong:
        mine = np.flatnonzero((client == 1) & (key == np.bincount(key[client == 1]).argmax()))
        result[mine[-1]] = result[mine[0]]
    late = np.where(client % 2, STEP * moments // 4, 0)  # what they read was there long before
    start = STEP * moments + late
    values, names = Table(), Table()
    values.codes(range(1, count + 1))
    names.codes([f"k{i}" for i in range(100)])
    asked, times = np.where(write, moments + 1, NONE), (start, start + STEP // 2)
    c = _columns(["read", "write"], np.where(write, 2, 1), key, names, asked, result, values, times)
    return replace(c, process=client[np.argsort(start, kind="stable")])


def versions(count: int, keys: int, clients: int = 20, wrong: bool = False) -> Columns:
    """The same with three values again and again, and the version of each answer."""
    c = register(count, keys, clients, wrong=wrong)
    answered = c.result.copy()
    three = Table()
    three.codes([0, 1, 2])
    few = np.where(answered == NONE, NONE, answered % 3 + 1)
    asked = np.where(c.value == NONE, NONE, c.value % 3 + 1)
    return replace(c, value=asked, result=few, values=three, version=answered)


def _last_written(key: Ints, write: Any, number: Ints) -> Ints:
    """For each operation the number of the last write to its key before it, or NONE."""
    order = np.argsort(key, kind="stable")
    sorted_key = key[order]
    places = np.arange(len(key))
    begins = np.concatenate([[True], sorted_key[1:] != sorted_key[:-1]])
    first = np.maximum.accumulate(np.where(begins, places, 0))
    last = np.maximum.accumulate(np.where(write[order], places, -1))
    found = np.empty(len(key), np.int64)
    found[order] = np.where(last >= first, number[order][np.maximum(last, 0)], NONE)
    return found


def cas_register(count: int, clients: int = 10, wrong: bool = True) -> Columns:
    """Five values again and again; where it is wrong, the last read gives another one."""
    rng = np.random.default_rng(count)
    times = _around(count, clients, rng)
    choose = random.Random(count)
    state, f, value, result = None, [], [], []
    for _ in range(count):
        kind, a, b = choose.randrange(3), choose.randrange(5), choose.randrange(5)
        if kind == 2 and state != a:
            kind = 0
        f.append(kind + 1)
        value.append([None, a, [a, b]][kind])
        state = [state, a, b][kind]
        result.append(state if kind == 0 else value[-1])
    if wrong:
        at = max(i for i, kind in enumerate(f) if kind == 1)
        result[at] = 7
    values, names = Table(), Table()
    codes = values.codes(value), values.codes(result)
    nothing = np.zeros(count, np.int64)
    return _columns(["read", "write", "cas"], np.array(f), nothing, names, *codes, values, times)


def queue(count: int, clients: int = 20, wrong: bool = False) -> Columns:
    """So many values go in and come out; where it is wrong, two that are far apart have changed places."""
    rng = np.random.default_rng(count)
    times = _around(2 * count, clients, rng)
    enqueue = np.ones(2 * count, bool)
    depth = 50
    enqueue[depth + 1 :: 2] = False
    enqueue[2 * count - depth :] = False
    if enqueue.sum() != count:
        enqueue[np.flatnonzero(enqueue)[count:]] = False
    value = np.zeros(2 * count, np.int64)
    value[enqueue] = np.arange(1, enqueue.sum() + 1)
    out = np.arange(1, (~enqueue).sum() + 1)
    if wrong:
        out[[count // 3, count * 2 // 3]] = out[[count * 2 // 3, count // 3]]
    result = value.copy()
    result[~enqueue] = out
    values = Table()
    values.codes(range(1, count + 1))
    nothing = np.zeros(2 * count, np.int64)
    return _columns(
        ["enqueue", "dequeue"], np.where(enqueue, 1, 2), nothing, Table(), value, result, values, times
    )


def list_append(count: int, clients: int = 20, wrong: bool = False) -> Columns:
    """Transactions of one to four steps on ten keys at a time; a key retires after 32 appends."""
    choose = random.Random(count)
    lists: dict[int, list[int]] = {key: [] for key in range(10)}
    alive, fresh = list(lists), len(lists)
    asked, answered = [], []
    for _ in range(count):
        steps: list[Any] = []
        for _ in range(choose.randrange(1, 5)):
            place = choose.randrange(10)
            key = alive[place]
            found = lists[key]
            if choose.random() < 0.5:
                steps.append(["r", key, found[:]])
                continue
            found.append(len(found) + 1)
            steps.append(["append", key, len(found)])
            if len(found) == 32:
                alive[place] = fresh
                lists[fresh] = []
                fresh += 1
        asked.append([[f, k, None if f == "r" else v] for f, k, v in steps])
        answered.append(steps)
    if wrong:
        reads = [s for steps in answered[count // 2 :] for s in steps if s[0] == "r" and len(s[2]) > 12]
        del reads[0][2][4:]  # so old that it was certainly over
    values = Table()
    codes = values.codes(asked), values.codes(answered)
    nothing = np.zeros(count, np.int64)
    times = _around(count, clients, np.random.default_rng(count))
    return _columns(["txn"], nothing + 1, nothing, Table(), *codes, values, times)
