"""Column files of recorded histories -> columns: no object is made for an operation.

`engine.recorded` writes them, one row an operation. Of older ones, with one row an event, see `engine.unpaired`.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import orjson

from engine import unpaired
from engine.columns import NEVER, NONE, Columns, Ints, Span, Table
from engine.errors import BadInput, Problem
from engine.recorded import LARGEST, TEXTS, schema
from engine.samples import Outcome

AT_ONCE = 1 << 16  # rows; smaller batches are put together first
NULL = -LARGEST  # no whole number in a file is as small
NUMBERS = {  # and what stands for null
    "invoked": 0, "completed": NEVER, "completed_index": -1, "process": 0, "outcome": int(Outcome.INFO),
    "value": NULL, "result": NULL, "version": -1,
}  # fmt: skip
UNUSED = "scheduled"


def read(path: Path) -> Columns:
    """Operations in the order of their calls, from as much as is whole.

    Raises BadInput where the file is Arrow, and no history.
    """
    found = list(_batches(path))
    names = found[0].schema.names if found else ()
    if "begun" in names:
        return unpaired.columns(found)
    wanted = schema().remove(schema().get_field_index(UNUSED))
    if found and not found[0].schema.equals(wanted):
        _refuse(f"has not the columns {', '.join(wanted.names)}")
    return _Reading(_grouped(found, wanted)).columns()


def _batches(path: Path) -> Iterator[Any]:
    """The batches that are whole, without what nobody judges."""
    import pyarrow as pa

    try:
        with pa.memory_map(str(path)) as file:
            with pa.ipc.open_stream(file) as stream:
                fields = [i for i, name in enumerate(stream.schema.names) if name != UNUSED]
            file.seek(0)
            options = pa.ipc.IpcReadOptions(included_fields=fields)
            with pa.ipc.open_stream(file, options=options) as stream:
                while True:
                    try:
                        yield stream.read_next_batch()
                    except (StopIteration, EOFError):
                        return
    except (pa.ArrowInvalid, OSError):
        return  # torn: the writer was killed


def _grouped(batches: Sequence[Any], wanted: Any) -> list[Any]:
    """The same rows in batches that are worth a call of numpy, with one dictionary for each column."""
    import pyarrow as pa

    groups: list[list[Any]] = [[]]
    for batch in batches:
        if sum(one.num_rows for one in groups[-1]) >= AT_ONCE:
            groups.append([])
        groups[-1].append(batch)
    if not _only_grow(batches):
        return list(pa.Table.from_batches(batches, wanted).unify_dictionaries().to_batches())
    return [
        group[0] if len(group) == 1 else pa.Table.from_batches(group, wanted).combine_chunks().to_batches()[0]
        for group in groups if batches
    ]  # fmt: skip


def _only_grow(batches: Sequence[Any]) -> bool:
    """Does each dictionary begin as the one before it?"""
    for name in TEXTS:
        before = None
        for batch in batches:
            one = batch.column(name).dictionary
            if before is not None and not one.slice(0, len(before)).equals(before):
                return False
            before = one
    return True


class _Reading:
    """`parts` have the rows of operations; one that is in it twice counts as it was told last."""

    def __init__(self, parts: list[Any]) -> None:
        self._parts = parts
        indexes = [part.column("index").to_numpy() for part in parts]
        most = 2 * sum(map(len, indexes))
        if any(len(one) and not 0 <= one.min() <= one.max() < most for one in indexes):
            _refuse("numbers events that are not there")
        called = np.zeros(most, bool)
        for one in indexes:
            called[one] = True
        place = np.cumsum(called) - 1
        self._places = [place[one] for one in indexes]
        self._index = np.flatnonzero(called)

    def columns(self) -> Columns:
        with ThreadPoolExecutor() as pool:  # numpy copies on all cores
            number = dict(
                zip(NUMBERS, pool.map(self._numbers, *zip(*NUMBERS.items(), strict=True)), strict=True)
            )
            f, key, error, node = pool.map(self._codes, TEXTS)
        if (number["completed"] < number["invoked"]).any():
            _refuse("has an operation that ends before it begins")
        values = self._values(number["value"], number["result"])
        unanswered = number["outcome"] != Outcome.OK
        if unanswered.any():
            number["result"][unanswered] = NONE
            number["version"][unanswered] = -1
        versioned = self._has("version") and bool((number["version"] >= 0).any())
        fs, keys, errors, nodes = map(self._table, TEXTS)
        return Columns(
            self._index, number["process"], f, key, number["value"], number["result"], number["invoked"],
            number["completed"], number["completed_index"], number["outcome"].astype(np.int8), error,
            fs, keys, values, errors, number["version"] if versioned else None, node if node.any() else None, nodes,
        )  # fmt: skip

    def _has(self, name: str) -> bool:
        return any(part.column(name).null_count < part.num_rows for part in self._parts)

    def _numbers(self, name: str, null: int) -> Ints:
        found = np.empty(len(self._index), np.int64)
        for part, place in zip(self._parts, self._places, strict=True):
            column = part.column(name)
            found[place] = (column.fill_null(null) if column.null_count else column).to_numpy()
        return found

    def _codes(self, name: str) -> Ints:
        """As tables have them: null is 0."""
        found = np.zeros(len(self._index), np.int64)
        for part, place in zip(self._parts, self._places, strict=True):
            column = part.column(name)
            if column.null_count < len(column):
                codes = column.indices
                found[place] = (codes.fill_null(-1) if codes.null_count else codes).to_numpy() + np.int64(1)
        return found

    def _table(self, name: str) -> Table:
        found = Table()
        if self._parts:
            found.codes(self._parts[-1].column(name).dictionary.to_pylist())
        return found

    def _values(self, *columns: Ints) -> Table:
        """Makes codes of values and results, in place.

        Whole numbers that lie close together are coded by their distance: there are no objects to be made.
        """
        values, ends = Table(), self._ends()
        if ends and ends[1] - ends[0] <= 8 * len(self._index) + 1024:
            values = Span.of(*ends)
            for column in columns:
                np.maximum(column, ends[0] - 1, out=column)
                column -= ends[0] - 1
        elif ends:
            distinct, place = np.unique(np.concatenate(columns), return_inverse=True)
            codes = values.codes([None if one == NULL else one for one in distinct.tolist()])[place.ravel()]
            for column, coded in zip(columns, np.split(codes, 2), strict=True):
                column[:] = coded
        else:
            for column in columns:
                column[:] = NONE
        for name, column in zip(("text", "result_text"), columns, strict=True):
            if self._has(name):
                self._texts(name, values, column)
        return values

    def _ends(self) -> tuple[int, int] | None:
        """The smallest and the largest of all whole numbers."""
        import pyarrow.compute as pc

        found = [
            pc.min_max(part.column(name)).as_py() for part in self._parts for name in ("value", "result")
        ]
        found = [one for one in found if one["min"] is not None]
        return (min(one["min"] for one in found), max(one["max"] for one in found)) if found else None

    def _texts(self, name: str, values: Table, codes: Ints) -> None:
        """Each distinct text is decoded once."""
        for part, place in zip(self._parts, self._places, strict=True):
            column = part.column(name).dictionary_encode()
            if column.null_count < len(column):
                known = [values.code(orjson.loads(text)) for text in column.dictionary.to_pylist()]
                there = column.is_valid().to_numpy(zero_copy_only=False)
                codes[place[there]] = np.array(known, np.int64)[column.indices.drop_null().to_numpy()]


def _refuse(message: str) -> NoReturn:
    raise BadInput([Problem("history", f"{message}; a run records it otherwise")])
