"""Which operations of a history show a finding: those that the checker named, and those that its words speak of."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.checkers import shown
from engine.columns import NEVER, Ints
from engine.history import History, Op
from engine.samples import Outcome

MOST = 14  # operations in one picture
Finding = dict[str, Any]


@dataclass(frozen=True)
class Witness:
    """Operations as `shown` gives them, in the order of their calls; `culprits` are the indices that cannot be."""

    operations: list[dict[str, Any]]
    culprits: list[int]
    left_out: int = 0


def witness(history: History, finding: Finding) -> Witness:
    kind = finding.get("kind", "")
    found = list(finding.get("operations", []))
    more, culprits = _MORE.get(kind, _nothing)(history, finding)
    known = {op["index"] for op in found}
    found += [shown(op) for op in more if op.index not in known]
    if not culprits:
        culprits = _culprits(kind, finding, found)
    kept = _kept(found, culprits)
    kept.sort(key=lambda op: (op["invoked"], op["index"]))
    return Witness(kept, culprits, len(found) - len(kept))


def _kept(found: list[dict[str, Any]], culprits: list[int]) -> list[dict[str, Any]]:
    """As many as a picture holds: what cannot be, what is certain, and what may have been."""
    rank = [(op["index"] not in culprits, bool(op.get("maybe")), i) for i, op in enumerate(found)]
    return [found[i] for *_, i in sorted(rank)[:MOST]]


def _culprits(kind: str, finding: Finding, found: list[dict[str, Any]]) -> list[int]:
    """Where the checker does not say it: the last answer that is certain."""
    if finding.get("cycle") or not found:
        return []
    if kind in ("not empty", "unexpected", "wrong total", "wrong accounts", "overdrawn", "G1a", "G1b"):
        return [found[0]["index"]]
    if kind == "out of order" and len(found) > 2:
        return [found[2]["index"]]
    sure = [op for op in found if not op.get("maybe") and op["completed"] is not None]
    if not sure or found[0]["f"] == "txn":
        return []
    return [max(sure, key=lambda op: (op["invoked"], op["completed"]))["index"]]


# What belongs to a finding besides


def _nothing(history: History, finding: Finding) -> tuple[list[Op], list[int]]:
    return [], []


def _of_a_set(history: History, finding: Finding) -> tuple[list[Op], list[int]]:
    """The adding of the element, and the reads that show what became of it."""
    kind, element = finding["kind"], finding["element"]
    rows = _rows(history, finding, "add")
    adds = [r for r in rows.tolist() if _value(history, r) == element][:3]
    reads = _reads(history, finding)
    if kind == "lost":
        last = reads[-1:]
        seen = [r for r in reads if element in _result(history, r)][-1:]
        ops = history.at([*adds, *seen, *last])
        return ops, [op.index for op in history.at(last)]
    if kind == "resurrected":
        after = [r for r in reads if history.columns.index[r] > finding["index"]]
        return history.at([*adds, *[r for r in after if element in _result(history, r)][:1]]), [
            finding["index"]
        ]
    own = [r for r in reads if history.columns.index[r] == finding.get("index")]
    return history.at([*adds, *own]), [op.index for op in history.at(own)]


def _of_a_count(history: History, finding: Finding) -> tuple[list[Op], list[int]]:
    """The additions that had a part in the sum, if they are few enough to be shown."""
    read = finding["operations"][0]
    c, rows = history.columns, _rows(history, finding, "add")
    begun = rows[c.invoked[rows] <= read["completed"]]
    return history.at(begun if len(begun) < MOST else begun[:0]), [read["index"]]


def _of_a_bank(history: History, finding: Finding) -> tuple[list[Op], list[int]]:
    """The transfers that ran at the same time, and the last read before that was right."""
    read = finding["operations"][0]
    c = history.columns
    moves = np.flatnonzero(c.named("transfer") & (c.outcome != Outcome.FAIL))
    near = moves[(c.invoked[moves] <= read["completed"]) & (c.completed[moves] >= read["invoked"])]
    before = moves[c.completed[moves] < read["invoked"]][-3:]
    reads = np.flatnonzero(c.named("read") & (c.outcome == Outcome.OK) & (c.completed < read["invoked"]))
    return history.at([*reads[-1:].tolist(), *before.tolist(), *near[-8:].tolist()]), [read["index"]]


def _of_a_queue(history: History, finding: Finding) -> tuple[list[Op], list[int]]:
    """The putting in of a value that came out twice or from nowhere."""
    if "element" in finding:
        return _of_a_set(history, finding)
    rows = _rows(history, finding, "enqueue")
    puts = [r for r in rows.tolist() if _value(history, r) == finding.get("value")][:2]
    which = -1 if finding["kind"] == "duplicated" else 0
    return history.at(puts), [finding["operations"][which]["index"]] if finding.get("operations") else []


_MORE = {
    "lost": _of_a_set, "stale": _of_a_set, "resurrected": _of_a_set, "vanished": _of_a_set,
    "unexpected": _of_a_queue, "duplicated": _of_a_queue, "out of bounds": _of_a_count,
    "wrong total": _of_a_bank, "wrong accounts": _of_a_bank, "overdrawn": _of_a_bank,
}  # fmt: skip


def _rows(history: History, finding: Finding, f: str) -> Ints:
    """Of these operations on the key of the finding."""
    c = history.columns
    return np.flatnonzero(c.named(f) & (c.key == max(c.keys.known(finding.get("key")), 0)))


def _reads(history: History, finding: Finding) -> list[int]:
    """Good reads of lists, by when they began."""
    c, rows = history.columns, _rows(history, finding, "read")
    rows = rows[(c.outcome[rows] == Outcome.OK) & (c.completed[rows] != NEVER)]
    rows = rows[np.argsort(c.invoked[rows], kind="stable")]
    return [row for row in rows.tolist() if isinstance(c.values.values[c.result[row]], list | tuple)]


def _value(history: History, row: int) -> Any:
    return history.columns.values.values[history.columns.value[row]]


def _result(history: History, row: int) -> Any:
    return history.columns.values.values[history.columns.result[row]]
