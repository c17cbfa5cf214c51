"""Histories: what each operation was, when it was called, and how it ended.

On disk JSON Lines, one event a line in Jepsen's shape, or Jepsen's own history.edn; in memory columns,
or one `Op` for each invocation with its completion.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from mmap import ACCESS_READ, mmap
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from engine import arrows, jepsen, jsonl
from engine.columns import NEVER, Columns, Table, column
from engine.pairing import pair
from engine.recorded import NAME
from engine.samples import Outcome

FORMATS = ("auto", "arrow", "jsonl", "edn")


@dataclass(slots=True)
class Op:
    """One operation; times in monotonic ns. One that never ended is INFO, and may yet happen.

    `value` is what was asked; `result` is what was answered, where it ended ok. `version` is the number
    that the store gave to what was read or written; a higher one is newer. `node` is who was asked.
    """

    index: int
    process: int
    f: str
    value: Any
    key: Any
    invoked: int
    completed: int | None = None
    outcome: Outcome = Outcome.INFO
    result: Any = None
    error: str = ""
    completed_index: int | None = None
    version: int | None = None
    node: str = ""


class History:
    """Operations, or columns of them: each is made from the other where it is asked for."""

    def __init__(self, ops: "list[Op] | None" = None, columns: Columns | None = None) -> None:
        self._given_ops, self._given_columns = ops, columns

    @cached_property
    def ops(self) -> list[Op]:
        if self._given_ops is not None:
            return self._given_ops
        return [self._op(row) for row in range(len(self))]

    @cached_property
    def columns(self) -> Columns:
        if self._given_columns is not None:
            return self._given_columns
        return _columns(self._given_ops or [])

    def __len__(self) -> int:
        return len(self._given_ops or []) if self._given_columns is None else len(self._given_columns)

    def at(self, rows: Iterable[int]) -> list[Op]:
        """The operations of these rows."""
        if "ops" in self.__dict__ or self._given_ops is not None:
            return [self.ops[row] for row in rows]
        return [self._op(int(row)) for row in rows]

    def by_key(self) -> dict[Any, list[Op]]:
        """The operations on each object; a history of one object has the key None."""
        found: dict[Any, list[Op]] = {}
        for op in self.ops:
            found.setdefault(op.key, []).append(op)
        return found

    def _op(self, row: int) -> Op:
        c = self.columns
        ended = c.completed[row] != NEVER
        return Op(
            int(c.index[row]), int(c.process[row]), c.fs.values[c.f[row]], c.values.values[c.value[row]],
            c.keys.values[c.key[row]], int(c.invoked[row]), int(c.completed[row]) if ended else None,
            Outcome(int(c.outcome[row])), c.values.values[c.result[row]],
            str(c.errors.values[c.error[row]] or ""), int(c.completed_index[row]) if ended else None,
            None if c.version is None or c.version[row] < 0 else int(c.version[row]),
            "" if c.node is None else str(c.nodes.values[c.node[row]] or ""),
        )  # fmt: skip


def _columns(ops: list[Op]) -> Columns:
    fs, keys, values, errors, nodes = Table(), Table(), Table(), Table(), Table()
    versions = [-1 if op.version is None else op.version for op in ops]
    named = nodes.codes([op.node or None for op in ops])
    never = [op.completed is None for op in ops]
    return Columns(
        column(op.index for op in ops), column(op.process for op in ops), fs.codes([op.f for op in ops]),
        keys.codes([op.key for op in ops]), values.codes([op.value for op in ops]),
        values.codes([op.result for op in ops]), column(op.invoked for op in ops),
        column(NEVER if n else op.completed or 0 for op, n in zip(ops, never, strict=True)),
        column(-1 if op.completed_index is None else op.completed_index for op in ops),
        np.array([op.outcome for op in ops], np.int8), errors.codes([op.error or None for op in ops]),
        fs, keys, values, errors,
        column(versions) if any(v >= 0 for v in versions) else None, named if named.any() else None, nodes,
    )  # fmt: skip


def read(path: Path, format: str = "auto") -> History:
    """Raises BadInput naming the line. Nemesis events are no operations.

    `format` is one of FORMATS. In JSON Lines a torn last line is left out.
    """
    if format == "arrow" or (format == "auto" and _is_arrow(path)):
        return History(columns=arrows.read(path))
    with _mapped(path) as data:
        if format == "auto":
            format = "jsonl" if _is_jsonl(path, data) else "edn"
        return History(columns=pair(jsonl.read(data) if format == "jsonl" else jepsen.read(data[:])))


def events(history: History) -> Iterator[dict[str, Any]]:
    """In Jepsen's shape, in the order in which they were numbered."""
    found = []
    for op in history.ops:
        shared: dict[str, Any] = {"process": op.process, "f": op.f}
        more = {"key": op.key, "node": op.node or None}
        begun = {"index": op.index, "time": op.invoked, **shared, "type": "invoke", "value": op.value, **more}
        found.append(begun)
        if op.completed is not None and op.completed_index is not None:
            ended = {
                "index": op.completed_index,
                "time": op.completed,
                **shared,
                "type": op.outcome.name.lower(),
            }
            value = op.result if op.outcome is Outcome.OK else op.value
            more = {"key": op.key, "error": op.error or None, "version": op.version, "node": op.node or None}
            found.append({**ended, "value": value, **more})
    found.sort(key=itemgetter("index"))
    return ({k: v for k, v in event.items() if v is not None or k == "value"} for event in found)


def in_run(directory: Path) -> Path | None:
    """The history of a run, as it is recorded now or was before; None where its workload never began."""
    names = (NAME, "history.jsonl")
    return next((directory / name for name in names if (directory / name).exists()), None)


def _is_arrow(path: Path) -> bool:
    with path.open("rb") as file:
        return path.suffix == ".arrows" or file.read(4) == b"\xff\xff\xff\xff"


@contextmanager
def _mapped(path: Path) -> Iterator[jsonl.Data]:
    """As it is on disk, without a copy, unless it is a pipe or empty."""
    if not path.is_file() or not path.stat().st_size:
        yield path.read_bytes()
        return
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
        yield data


def _is_jsonl(path: Path, data: jsonl.Data) -> bool:
    """By the name, or by how the first event begins: with a text as a key, or with a keyword."""
    if path.suffix in (".edn", ".jsonl", ".json"):
        return path.suffix != ".edn"
    return re.match(rb"\s*(\[\s*\{|\{\s*:|[(#;])", data) is None
