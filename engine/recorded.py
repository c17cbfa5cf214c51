"""Histories as a run records them: an Arrow IPC stream, zstd, one row an event, a batch at a time.

A file that ends in the middle of a batch is read up to there: what is lost with a killed writer are its
last events, never earlier ones. Anything that reads Arrow reads it. Columns: index, time (monotonic ns),
scheduled (of an invoke), process, type (as in engine.pairing.TYPES), f, key, value (a whole number) or text
(anything else, as JSON), error, node, version, and begun: of an end the index of its invoke, else -1.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from engine.clock import NS, now_ns
from engine.columns import NEVER, NONE, Columns, Ints, Span, Table
from engine.pairing import INVOKE, TYPES
from engine.samples import Outcome

NAME = "history.arrows"
WAIT_NS = NS // 4  # events wait so long, at most, to be written together
MOST = 1 << 16  # events in a batch
LARGEST = 1 << 62  # a whole number that is larger is kept as text
TEXTS = ("f", "key", "error", "node")
NAMES = {code: name for name, code in TYPES.items()}


def schema() -> Any:
    """Of the columns that are written."""
    import pyarrow as pa

    named = pa.dictionary(pa.int32(), pa.utf8())
    return pa.schema(
        [
            ("index", pa.int64()), ("time", pa.int64()), ("scheduled", pa.int64()), ("process", pa.int64()),
            ("type", pa.int8()), ("f", named), ("key", named), ("value", pa.int64()), ("text", pa.utf8()),
            ("error", named), ("node", named), ("version", pa.int64()), ("begun", pa.int64()),
        ]
    )  # fmt: skip


class Writer:
    """Numbers and writes events; what was added is on disk within a moment of `flush` being called."""

    def __init__(self, path: Path) -> None:
        import pyarrow as pa

        self._pa, self._schema = pa, schema()
        self._file = path.open("wb", buffering=1 << 22)  # a batch is written at once
        options = pa.ipc.IpcWriteOptions(compression="zstd", emit_dictionary_deltas=True)
        self._stream = pa.ipc.new_stream(self._file, self._schema, options=options)
        self._rows: list[tuple[Any, ...]] = []
        self._tables: dict[str, dict[str, int]] = {name: {} for name in TEXTS}
        self._count, self._written = 0, now_ns()

    def invoke(self, process: int, f: str, key: str | None, value: Any, scheduled: int) -> tuple[int, int]:
        """Its index and the time that was written."""
        return self._add(now_ns(), scheduled, process, INVOKE, f, key, value, "", "", None, -1)

    def end(
        self, begun: int, process: int, outcome: Outcome, f: str, key: str | None, value: Any, *,
        error: str = "", node: str = "", version: int | None = None,
    ) -> int:  # fmt: skip
        """The time that was written."""
        row = (now_ns(), None, process, int(outcome), f, key, value, error, node, version, begun)
        return self._add(*row)[1]

    def _add(self, time: int, *rest: Any) -> tuple[int, int]:
        index = self._count
        self._rows.append((index, time, *rest))
        self._count += 1
        if len(self._rows) >= MOST:
            self._write()
        return index, time

    def flush(self) -> None:
        """Writes what has waited long enough."""
        if self._rows and now_ns() - self._written >= WAIT_NS:
            self._write()

    def _write(self) -> None:
        pa = self._pa
        rows, self._rows, self._written = self._rows, [], now_ns()
        if not rows:
            return
        index, time, scheduled, process, kind, f, key, value, error, node, version, begun = zip(
            *rows, strict=True
        )
        whole = [one if type(one) is int and abs(one) < LARGEST else None for one in value]
        text = [
            None if one is None or there is not None else orjson.dumps(one).decode()
            for one, there in zip(value, whole, strict=True)
        ]
        named = [self._named(name, column) for name, column in zip(TEXTS, (f, key, error, node), strict=True)]
        arrays = [
            *map(pa.array, (index, time)), pa.array(scheduled, pa.int64()), pa.array(process),
            pa.array(kind, pa.int8()), named[0], named[1], pa.array(whole, pa.int64()), pa.array(text, pa.utf8()),
            named[2], named[3], pa.array(version, pa.int64()), pa.array(begun),
        ]  # fmt: skip
        self._stream.write_batch(pa.RecordBatch.from_arrays(arrays, schema=self._schema))
        self._file.flush()

    def _named(self, name: str, column: tuple[str | None, ...]) -> Any:
        """Codes of texts in a dictionary that only grows."""
        table = self._tables[name]
        codes = [table.setdefault(one, len(table)) if one else None for one in column]
        indices = self._pa.array(codes, self._pa.int32())
        return self._pa.DictionaryArray.from_arrays(indices, self._pa.array(list(table), self._pa.utf8()))

    def close(self) -> None:
        self._write()
        self._stream.close()
        self._file.close()


def batches(path: Path, without: tuple[str, ...] = ()) -> Iterator[Any]:
    """The batches that are whole; columns that are not wanted cost nothing."""
    import pyarrow as pa

    fields = [i for i, name in enumerate(schema().names) if name not in without]
    options = pa.ipc.IpcReadOptions(included_fields=fields if without else [])
    try:
        with pa.memory_map(str(path)) as file, pa.ipc.open_stream(file, options=options) as stream:
            while True:
                try:
                    yield stream.read_next_batch()
                except (StopIteration, EOFError):
                    return
    except (pa.ArrowInvalid, OSError):
        return  # torn: the writer was killed


def events(path: Path) -> Iterator[dict[str, Any]]:
    """One by one, in Jepsen's shape."""
    return (event for batch in batches(path) for event in _events(batch))


def _events(batch: Any) -> Iterator[dict[str, Any]]:
    for row in batch.to_pylist():
        text = row.pop("text")
        row["value"] = row["value"] if text is None else orjson.loads(text)
        row["type"] = NAMES[row["type"]]
        del row["begun"]
        yield {k: v for k, v in row.items() if v is not None or k == "value"}


class Tail:
    """Reads a growing file, each event once."""

    def __init__(self, path: Path) -> None:
        self._path, self._taken = path, 0
        self._stream: Any = None

    def read(self) -> Iterator[dict[str, Any]]:
        """What has come since, in Jepsen's shape."""
        import pyarrow as pa

        skipped = 0
        try:
            if self._stream is None:
                self._stream, skipped = self._open(), self._taken
            for number, batch in enumerate(iter(self._next, None)):
                if number >= skipped:
                    self._taken += 1
                    yield from _events(batch)
        except (pa.ArrowInvalid, OSError):
            self._stream = (
                None  # not there yet, or looked at while it was being written: once more, from the start
            )

    def _open(self) -> Any:
        import pyarrow as pa

        return pa.ipc.open_stream(pa.OSFile(str(self._path), "rb"))

    def _next(self) -> Any:
        """None at the present end."""
        try:
            return self._stream.read_next_batch()
        except StopIteration:
            return None


def read(path: Path) -> Columns:
    """Operations as columns, from as much as is whole."""
    import pyarrow as pa

    wanted = schema().remove(schema().get_field_index("scheduled"))
    found = pa.Table.from_batches(list(batches(path, without=("scheduled",))), schema=wanted)
    table = found.unify_dictionaries().combine_chunks()
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
