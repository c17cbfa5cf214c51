"""What became of the changes to registers: acknowledged, failed, unknown, and which are certainly gone at the end."""

import numpy as np

from engine.columns import NEVER, NONE, Columns, Ints
from engine.samples import Outcome


def tally(c: Columns, changes: tuple[str, ...]) -> dict[str, int | None]:
    """How the changes ended; whether one is lost is not counted."""
    ended = np.bincount(c.outcome[c.named(*changes)], minlength=3).tolist()
    return {
        "attempted": sum(ended), "acknowledged": ended[Outcome.OK], "failed": ended[Outcome.FAIL],
        "unknown": ended[Outcome.INFO], "read_back": None, "lost": None,
    }  # fmt: skip


def counts(c: Columns, read: str, changes: tuple[str, ...]) -> dict[str, int | None]:
    """As `tally`; `lost` where each register that was written was read after its last change, else None.

    An acknowledged change is lost where a read that began after it gives the value of a change that had
    ended before it began: nothing else can have brought that value back, if every value is written once.
    `read_back` are the registers that were read at the end.
    """
    found = tally(c, changes)
    changed = np.flatnonzero(c.named(*changes) & (c.outcome != Outcome.FAIL))
    looked = np.flatnonzero(c.named(read) & (c.outcome == Outcome.OK))
    keys = len(c.keys)
    ended = np.full(keys, -1, np.int64)  # of each key, when its last acknowledged change ended
    sure = changed[c.outcome[changed] == Outcome.OK]
    np.maximum.at(ended, c.key[sure], c.completed[sure])
    final = np.full(keys, -1, np.int64)  # of each key, the row of its last read
    final[c.key[looked]] = looked  # rows are in the order of their calls: the last one stays
    touched = np.unique(c.key[sure])
    if not len(touched) or not _all_read(c, touched, ended, final):
        return found
    return found | {"read_back": len(touched), "lost": _lost(c, changed, sure, final)}


def _all_read(c: Columns, touched: Ints, ended: Ints, final: Ints) -> bool:
    rows = final[touched]
    return bool((rows >= 0).all() and (c.invoked[rows] > ended[touched]).all())


def _lost(c: Columns, changed: Ints, sure: Ints, final: Ints) -> int | None:
    values = _written(c, changed)
    if values is None:
        return None
    pairs = c.key[changed] * len(c.values) + values
    order = np.argsort(pairs, kind="stable")
    if (np.diff(pairs[order]) == 0).any():
        return None  # a value was written twice: nobody knows which one was read
    there = np.flatnonzero(final >= 0)
    result = c.result[final[there]]
    wanted = there * len(c.values) + result
    at = np.minimum(np.searchsorted(pairs[order], wanted), len(order) - 1)
    known = pairs[order][at] == wanted
    if (~known & (result != NONE)).any():
        return None  # a value that nobody wrote: the checkers say so
    since = np.full(len(final), NEVER, np.int64)
    since[there] = np.where(known, c.completed[changed[order[at]]], -1)
    return int((c.invoked[sure] > since[c.key[sure]]).sum())


def _written(c: Columns, changed: Ints) -> Ints | None:
    """The codes of what each change wrote; None where that is no plain value, as after an append."""
    if c.named("append").any():
        return None
    values = c.value[changed].copy()
    for at in np.flatnonzero(c.named("cas")[changed]).tolist():
        values[at] = c.values.code(c.values.values[c.value[changed[at]]][1])
    return values
