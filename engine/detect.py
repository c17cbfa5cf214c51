"""Which spec a history is of: by the names of its operations, and by what was asked and answered."""

from typing import Any

import numpy as np

from engine.errors import BadInput, Problem
from engine.history import History
from engine.samples import Outcome

AUTO = "auto"
LOOKED_AT = 200  # values


def detect(history: History) -> str:
    """Raises BadInput where the operations fit no spec, or where it takes a person to tell."""
    names = history.columns.names()
    if not names:
        raise BadInput([Problem("", "there is no operation in it")])
    for spec, own in _BY_NAMES.items():
        if names <= own and names & _TELLING[spec]:
            return spec
    if names == {"txn"}:
        return _of_transactions(history)
    if names <= {"add", "read"}:
        return _of_additions(history)
    told = ", ".join(sorted(names))
    raise BadInput([Problem("spec", f"cannot be told from the operations {told}; choose one")])


_BY_NAMES = {
    "bank": {"transfer", "read"},
    "queue": {"enqueue", "dequeue", "drain"},
    "kv": {"get", "put", "append"},
    "register": {"read", "write"},
    "cas-register": {"read", "write", "cas"},
}
_TELLING = {
    "bank": {"transfer"}, "queue": _BY_NAMES["queue"], "kv": _BY_NAMES["kv"], "register": {"write"},
    "cas-register": {"cas"},
}  # fmt: skip


def _of_transactions(history: History) -> str:
    c = history.columns
    steps = [step for value in _some(history, np.arange(len(c))) for step in value or () if len(step) == 3]
    writes = {step[0] for step in steps} - {"r"}
    lists = any(step[0] == "r" and isinstance(step[2], list | tuple) for step in steps)
    return "list-append" if "append" in writes or (lists and not writes) else "rw-register"


def _of_additions(history: History) -> str:
    """A set is read as a list, a counter as a number; without a read nothing tells them apart."""
    c = history.columns
    reads = np.flatnonzero(c.named("read") & (c.outcome == Outcome.OK))
    found = [value for value in _some(history, reads) if value is not None]
    return "counter" if found and not any(isinstance(value, list | tuple) for value in found) else "set"


def _some(history: History, rows: Any) -> list[Any]:
    c = history.columns
    codes = np.where(c.outcome[rows] == Outcome.OK, c.result[rows], c.value[rows])
    return [c.values.values[code] for code in codes[:LOOKED_AT].tolist()]
