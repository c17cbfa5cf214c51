"""Transactions in a history: [["append", k, v], ["r", k, null]], with the reads filled in where it ended ok."""

from typing import Any, NamedTuple

from engine.errors import BadInput, Problem
from engine.history import Op
from engine.samples import Outcome

LEVELS = (
    "read-uncommitted", "read-committed", "snapshot-isolation", "repeatable-read", "serializable", "strict-serializable",
)  # fmt: skip


class Micro(NamedTuple):
    """One step of a transaction: `f` is r, w or append; `value` is what was written or read."""

    f: str
    key: Any
    value: Any


def micros(op: Op, writes: str) -> list[Micro]:
    """What it did, or was asked to do where no answer came. Raises BadInput naming the operation."""
    found = op.result if op.outcome is Outcome.OK else op.value
    if not isinstance(found, list | tuple):
        _bad(op, f"a transaction is a list of steps, not {found!r}")
    return [_micro(op, one, writes) for one in found]


def _micro(op: Op, one: Any, writes: str) -> Micro:
    if not isinstance(one, list | tuple) or len(one) != 3 or one[0] not in ("r", writes):
        _bad(op, f'a step is ["r", key, value] or ["{writes}", key, value], not {one!r}')
    if isinstance(one[1], list | dict):
        _bad(op, f"the key of a step must be a text or a number, not {one[1]!r}")
    if one[0] == "r" and writes == "append" and not isinstance(one[2], list | tuple | None):
        _bad(op, f"what was read of {one[1]!r} must be a list, not {one[2]!r}")
    if one[0] != "r" and isinstance(one[2], list | dict):
        _bad(op, f"what is written must be a text or a number, not {one[2]!r}")
    return Micro(*one)


def _bad(op: Op, message: str) -> None:
    raise BadInput([Problem(f"operation {op.index}", message)])
