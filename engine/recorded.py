"""Histories as a run records them: an Arrow IPC stream, lz4, one row an operation, a batch at a time.

A row is written when its operation has ended; one that is still open when a batch is written is in it too,
without an end, and the row that comes with its end takes that one's place. A file that ends in the middle
of a batch is read up to there: what is lost with a killed writer are its last events, never earlier ones.

Anything that reads Arrow reads it. Columns: index (of the event of its call), invoked and completed
(monotonic ns), scheduled, process, f, key, value (a whole number) or text (anything else, as JSON), outcome
(as in engine.samples.Outcome), completed_index, result or result_text, error, node, version.
"""

from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path
from typing import Any

import orjson

from engine.clock import NS, now_ns
from engine.samples import Outcome

NAME = "history.arrows"
WAIT_NS = NS // 4  # events wait so long, at most, to be written together
MOST = 1 << 16  # events in a batch
LARGEST = 1 << 62  # a whole number that is larger is kept as text
TEXTS = ("f", "key", "error", "node")
Row = tuple[Any, ...]  # index, invoked, scheduled, process, f, key, value
OPEN: Row = (
    None,
    None,
    int(Outcome.INFO),
    None,
    None,
    None,
    None,
)  # completed, its index, outcome, result, …


def schema() -> Any:
    """Of the columns that are written; lz4 unpacks numbers that it cannot make smaller three times as fast."""
    import pyarrow as pa

    named = pa.dictionary(pa.int32(), pa.utf8())
    return pa.schema(
        [
            ("index", pa.int32()), ("invoked", pa.int64()), ("scheduled", pa.int64()), ("process", pa.int32()),
            ("f", named), ("key", named), ("value", pa.int64()), ("text", pa.utf8()),
            ("completed", pa.int64()), ("completed_index", pa.int32()), ("outcome", pa.int8()),
            ("result", pa.int64()), ("result_text", pa.utf8()),
            ("error", named), ("node", named), ("version", pa.int64()),
        ]
    )  # fmt: skip


def options() -> Any:
    """lz4: zstd halves the file and takes twice as long to be read."""
    import pyarrow as pa

    return pa.ipc.IpcWriteOptions(compression="lz4", emit_dictionary_deltas=True)


class Writer:
    """Numbers and writes operations; what was added is on disk within a moment of `flush` being called."""

    def __init__(self, path: Path) -> None:
        import pyarrow as pa

        self._pa, self._schema = pa, schema()
        self._file = path.open("wb", buffering=1 << 22)  # a batch is written at once
        self._stream = pa.ipc.new_stream(self._file, self._schema, options=options())
        self._open: dict[int, Row] = {}
        self._rows: list[Row] = []  # of those that have ended since the last batch
        self._tables: dict[str, dict[str, int]] = {name: {} for name in TEXTS}
        self._count = self._told = 0  # events that came, and those that were written
        self._written = now_ns()

    def invoke(self, process: int, f: str, key: str | None, value: Any, scheduled: int) -> tuple[int, int]:
        """Its index and the time that was written."""
        index, time = self._count, now_ns()
        self._open[index] = (index, time, scheduled, process, f, key, value)
        self._counted()
        return index, time

    def end(
        self, begun: int, outcome: Outcome, result: Any, *, error: str = "", node: str = "",
        version: int | None = None,
    ) -> int:  # fmt: skip
        """Of the operation with that index; the time that was written."""
        index, time = self._count, now_ns()
        told = result if outcome is Outcome.OK else None
        self._rows.append((*self._open.pop(begun), time, index, int(outcome), told, error, node, version))
        self._counted()
        return time

    def _counted(self) -> None:
        self._count += 1
        if self._count - self._told >= MOST:
            self._write()

    def flush(self) -> None:
        """Writes what has waited long enough."""
        if self._count > self._told and now_ns() - self._written >= WAIT_NS:
            self._write()

    def _write(self) -> None:
        pa = self._pa
        rows = self._rows + [(*row, *OPEN) for index, row in self._open.items() if index >= self._told]
        self._rows, self._told, self._written = [], self._count, now_ns()
        if not rows:
            return
        rows.sort(key=itemgetter(0))
        index, invoked, scheduled, process, f, key, value, *rest = zip(*rows, strict=True)
        completed, completed_index, outcome, result, error, node, version = rest
        found = {
            "index": index, "invoked": invoked, "scheduled": scheduled, "process": process, "completed": completed,
            "completed_index": completed_index, "outcome": outcome, "version": version,
        }  # fmt: skip
        columns = {name: pa.array(column, self._schema.field(name).type) for name, column in found.items()}
        for name, texts in zip(TEXTS, (f, key, error, node), strict=True):
            columns[name] = self._named(name, texts)
        columns["value"], columns["text"] = _values(value)
        columns["result"], columns["result_text"] = _values(result)
        arrays = [columns[name] for name in self._schema.names]
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


def _values(column: tuple[Any, ...]) -> tuple[Any, Any]:
    """Whole numbers, and the JSON of all others."""
    import pyarrow as pa

    whole = [one if type(one) is int and abs(one) < LARGEST else None for one in column]
    text = [
        None if one is None or there is not None else orjson.dumps(one).decode()
        for one, there in zip(column, whole, strict=True)
    ]
    return pa.array(whole, pa.int64()), pa.array(text, pa.utf8())


class Tail:
    """Reads a growing file, each event once."""

    def __init__(self, path: Path) -> None:
        self._path, self._taken = path, 0
        self._stream: Any = None
        self._count = 0  # events that were read

    def read(self) -> Iterator[dict[str, Any]]:
        """What has come since, in Jepsen's shape and in its order."""
        import pyarrow as pa

        skipped = 0
        try:
            if self._stream is None:
                self._stream, skipped = self._open(), self._taken
            for number, batch in enumerate(iter(self._next, None)):
                if number >= skipped:
                    self._taken += 1
                    yield from self._events(batch)
        except (pa.ArrowInvalid, OSError):
            self._stream = (
                None  # not there yet, or looked at while it was being written: once more, from the start
            )

    def _events(self, batch: Any) -> list[dict[str, Any]]:
        """Of what a batch holds, all that no batch before has told."""
        found = [
            event for row in batch.to_pylist() for event in _events(row) if event["index"] >= self._count
        ]
        found.sort(key=itemgetter("index"))
        self._count += len(found)
        return found

    def _open(self) -> Any:
        import pyarrow as pa

        return pa.ipc.open_stream(pa.OSFile(str(self._path), "rb"))

    def _next(self) -> Any:
        """None at the present end."""
        try:
            return self._stream.read_next_batch()
        except StopIteration:
            return None


def _events(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The call, and the end if there is one, in Jepsen's shape."""
    shared = {"process": row["process"], "f": row["f"], "key": row["key"]}
    asked, told = (
        orjson.loads(row[text]) if row[text] is not None else row[whole]
        for whole, text in (("value", "text"), ("result", "result_text"))
    )
    yield {"index": row["index"], "time": row["invoked"], "type": "invoke", **shared, "value": asked}
    if row["completed_index"] is None:
        return
    outcome = Outcome(row["outcome"])
    yield {
        "index": row["completed_index"], "time": row["completed"], "type": outcome.name.lower(), **shared,
        "value": told if outcome is Outcome.OK else asked, "error": row["error"], "node": row["node"],
        "version": row["version"],
    }  # fmt: skip
