"""Column files as they were recorded before 0.1.0: one row an event, its end told apart from its call.

Columns: index, time (monotonic ns), process, type (as in engine.pairing.TYPES), f, key, value (a whole number) or
text (anything else, as JSON), error, node, version, and begun: of an end the index of its invoke, else -1.
"""

from typing import Any

import numpy as np
import orjson

from engine.columns import NEVER, NONE, Columns, Ints, Span, Table
from engine.pairing import INVOKE
from engine.recorded import TEXTS
from engine.samples import Outcome


def columns(batches: list[Any]) -> Columns:
    """Operations as columns, of batches without `scheduled`."""
    import pyarrow as pa

    table = pa.Table.from_batches(batches).unify_dictionaries().combine_chunks()
    column = {name: _Column(table, name) for name in table.column_names}
    kind = column["type"].numbers()
    calls, ends = np.flatnonzero(kind == INVOKE), np.flatnonzero(kind != INVOKE)
    place = np.empty(len(kind), np.int64)
    place[calls] = np.arange(len(calls))
    place = place[column["begun"].numbers()[ends]]

    def at_end(found: "np.ndarray", otherwise: int) -> Ints:
        whole = np.full(len(calls), otherwise, np.int64)
        whole[place] = found[ends]
        return whole

    def coded_at_end(name: str) -> Ints:
        return (
            np.full(len(calls), NONE, np.int64)
            if column[name].is_empty
            else at_end(column[name].codes(), NONE)
        )

    time, index = column["time"].numbers(), column["index"].numbers()
    outcome = at_end(kind, int(Outcome.INFO))
    codes, values = _values(column["value"], column["text"])
    result = at_end(codes, NONE)
    result[outcome != Outcome.OK] = NONE
    tables = {name: column[name].table() for name in TEXTS}
    versioned = not column["version"].is_empty
    version = at_end(column["version"].numbers(-1), -1) if versioned else None
    node = coded_at_end("node")
    return Columns(
        index[calls], column["process"].numbers()[calls], column["f"].codes()[calls],
        column["key"].codes()[calls], codes[calls], result, time[calls], at_end(time, NEVER),
        at_end(index, -1), outcome.astype(np.int8), coded_at_end("error"),
        tables["f"], tables["key"], values, tables["error"],
        version if version is not None and (version >= 0).any() else None, node if node.any() else None, tables["node"],
    )  # fmt: skip


class _Column:
    def __init__(self, table: Any, name: str) -> None:
        chunks = table.column(name)
        empty = chunks.combine_chunks() if not chunks.num_chunks else None
        self.array = chunks.chunk(0) if empty is None else empty

    @property
    def is_empty(self) -> bool:
        return bool(self.array.null_count == len(self.array))

    def numbers(self, null: int = 0) -> Ints:
        array = self.array.fill_null(null) if self.array.null_count else self.array
        found: Ints = array.to_numpy(zero_copy_only=False)
        return found

    def codes(self) -> Ints:
        """Codes as tables have them: null is 0."""
        indices = self.array.indices
        found: Ints = (indices.fill_null(-1) if indices.null_count else indices).to_numpy() + np.int64(1)
        return found

    def table(self) -> Table:
        found = Table()
        found.codes(self.array.dictionary.to_pylist())
        return found


def _values(whole: _Column, text: _Column) -> tuple[Ints, Table]:
    """Whole numbers that lie close together are coded by their distance: there are no objects to be made."""
    there = np.flatnonzero(whole.array.is_valid().to_numpy(zero_copy_only=False))
    numbers = whole.numbers()
    codes, values = np.zeros(len(numbers), np.int64), Table()
    if len(there):
        found = numbers if len(there) == len(numbers) else numbers[there]
        low, high = int(found.min()), int(found.max())
        if high - low <= 4 * len(found) + 1024:
            values = Span.of(low, high)
            codes = numbers - (low - 1)
            if len(there) < len(numbers):
                codes[~whole.array.is_valid().to_numpy(zero_copy_only=False)] = NONE
        else:
            codes[there] = values.codes(found.tolist())
    if text.array.null_count < len(codes):
        rows = np.flatnonzero(text.array.is_valid().to_numpy(zero_copy_only=False))
        codes[rows] = [values.code(orjson.loads(one)) for one in text.array.drop_null().to_pylist()]
    return codes, values
