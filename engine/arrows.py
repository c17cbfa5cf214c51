"""Column files of recorded histories -> columns: no object is made for an operation.

`engine.recorded` writes them, one row an operation. Of older ones, with one row an event, see `engine.unpaired`.
A file is gone through twice: first for the place of each row, then for all else, a batch at a time, so that what
is unpacked stays in the cache.
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

AT_ONCE = 1 << 14  # rows; smaller batches are put together first
MOST_RUNS = 1 << 9  # into which rows are put one run after the other
NULL = -LARGEST  # no whole number in a file is as small
NUMBERS = {  # and what stands for null
    "invoked": 0, "completed": NEVER, "completed_index": -1, "process": 0, "outcome": int(Outcome.INFO),
    "value": NULL, "result": NULL, "version": -1,
}  # fmt: skip
VALUES = {"value": "text", "result": "result_text"}  # whole numbers, and where all others are
REST = (*NUMBERS, *TEXTS, *VALUES.values())  # but for index, and scheduled, by which nobody judges


def read(path: Path) -> Columns:
    """Operations in the order of their calls, from as much as is whole.

    Raises BadInput where the file is Arrow, and no history.
    """
    there = _schema(path)
    if there is not None and "begun" in there.names:
        return unpaired.columns(list(_batches(path, [name for name in there.names if name != "scheduled"])))
    if there is not None and not there.equals(schema()):
        _refuse(f"has not the columns {', '.join(schema().names)}")
    reading = _Reading([batch.column(0).to_numpy() for batch in _batches(path, ["index"])])
    reading.take(_batches(path, REST))
    return reading.columns()


def _schema(path: Path) -> Any:
    """None where not even that is whole."""
    import pyarrow as pa

    try:
        with pa.memory_map(str(path)) as file, pa.ipc.open_stream(file) as stream:
            return stream.schema
    except (pa.ArrowInvalid, OSError):
        return None


def _batches(path: Path, names: Sequence[str]) -> Iterator[Any]:
    """These columns of the batches that are whole; others cost nothing."""
    import pyarrow as pa

    there = _schema(path)
    if there is None:
        return
    options = pa.ipc.IpcReadOptions(included_fields=[there.get_field_index(name) for name in names])
    try:
        with pa.memory_map(str(path)) as file, pa.ipc.open_stream(file, options=options) as stream:
            yield from iter(lambda: _next(stream), None)
    except (pa.ArrowInvalid, OSError):
        return  # torn: the writer was killed


def _next(stream: Any) -> Any:
    """None at the end."""
    try:
        return stream.read_next_batch()
    except (StopIteration, EOFError):
        return None


class _Places:
    """Where rows go: nearly all of them behind one another, so in a few runs."""

    def __init__(self, place: Ints) -> None:
        self._place, self._count = place, len(place)
        ends = np.append(np.flatnonzero(np.diff(place) != 1) + 1, len(place)) if len(place) else place
        self._runs = (
            list(zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True)) if len(ends) < MOST_RUNS else []
        )

    def put(self, into: Any, column: Any, more: int = 0) -> None:
        """Puts the column, `more` added to each, into its places."""
        if not self._runs:
            into[self._place] = column + into.dtype.type(more)
        for begin, end in self._runs:
            first = int(self._place[begin])
            np.add(column[begin:end], more, out=into[first : first + end - begin], casting="same_kind")

    def of(self, chosen: Any) -> Ints:
        found: Ints = self._place[chosen]
        return found


def _grouped(batches: Iterator[Any], places: Sequence[Ints]) -> Iterator[tuple[Any, _Places]]:
    """The same rows in batches that are worth a call of numpy, with their places.

    Each is unpacked while the one before is looked at.
    """
    import pyarrow as pa

    group: list[tuple[Any, Ints]] = []
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, batches, None)
        for number, place in enumerate(places):
            batch = coming.result()
            if number < len(places) - 1:
                coming = pool.submit(next, batches, None)
            group.append((batch, place))
            if sum(len(place) for _, place in group) >= AT_ONCE or number == len(places) - 1:
                some, where = zip(*group, strict=True)
                if len(group) > 1:
                    (batch,) = pa.Table.from_batches(some).combine_chunks().to_batches() or [batch]
                yield batch, _Places(np.concatenate(where))
                group = []


class _Reading:
    """A row that is there twice counts as it was told last."""

    def __init__(self, indexes: list[Ints]) -> None:
        most = 2 * sum(map(len, indexes))
        if any(len(one) and not 0 <= one.min() <= one.max() < most for one in indexes):
            _refuse("numbers events that are not there")
        called = np.zeros(most, bool)
        for one in indexes:
            called[one] = True
        place = np.cumsum(called, dtype=np.int32) - np.int32(1)
        self._places = [place[one] for one in indexes]
        self._index = np.flatnonzero(called)
        count = len(self._index)
        self._numbers: dict[str, Any] = {
            name: np.empty(count, np.int64) for name in NUMBERS if name != "version"
        }
        self._numbers["outcome"] = np.empty(count, np.int8)
        self._numbers["version"] = np.zeros(0, np.int64)  # most histories have none
        self._codes = {name: np.zeros(count, np.int64) for name in TEXTS}
        self._dictionaries: dict[str, Any] = {}
        self._texts: dict[str, list[tuple[Any, Ints]]] = {name: [] for name in VALUES}
        self._ends: list[tuple[int, int]] = []

    def take(self, batches: Iterator[Any]) -> None:
        for batch, place in _grouped(batches, self._places):
            for name, null in NUMBERS.items():
                self._number(name, batch.column(name), place, null)
            for name in TEXTS:
                self._code(name, batch.column(name), place)
            for name, text in VALUES.items():
                self._value(name, batch.column(name), batch.column(text), place)

    def _number(self, name: str, column: Any, place: _Places, null: int) -> None:
        if name == "version":
            if column.null_count == len(column):
                return
            if not len(self._numbers[name]):
                self._numbers[name] = np.full(len(self._index), null)
        if column.null_count:
            column = column.cast("int64").fill_null(null)
        place.put(self._numbers[name], column.to_numpy())

    def _code(self, name: str, column: Any, place: _Places) -> None:
        """As tables have them: null is 0. Raises BadInput where a dictionary does more than grow."""
        before, now = self._dictionaries.get(name), column.dictionary
        if before is not None and not now.slice(0, len(before)).equals(before):
            _refuse(f"has another dictionary of {name} in each batch")
        self._dictionaries[name] = now
        if column.null_count < len(column):
            codes = column.indices.fill_null(-1) if column.null_count else column.indices
            place.put(self._codes[name], codes.to_numpy(), 1)

    def _value(self, name: str, whole: Any, text: Any, place: _Places) -> None:
        import pyarrow.compute as pc

        ends = pc.min_max(whole).as_py()
        if ends["min"] is not None:
            self._ends.append((ends["min"], ends["max"]))
        if text.null_count < len(text):
            there = text.is_valid().to_numpy(zero_copy_only=False)
            self._texts[name].append((text.drop_null().dictionary_encode(), place.of(there)))

    def columns(self) -> Columns:
        number, code = self._numbers, self._codes
        if (number["completed"] < number["invoked"]).any():
            _refuse("has an operation that ends before it begins")
        if len(self._index) and not code["f"].all():
            _refuse("has an operation without an f")
        values = self._coded()
        unanswered = number["outcome"] != Outcome.OK
        versioned = len(number["version"]) > 0
        if unanswered.any():
            number["result"][unanswered] = NONE
            if versioned:
                number["version"][unanswered] = -1
        fs, keys, errors, nodes = map(self._table, TEXTS)
        return Columns(
            self._index, number["process"], code["f"], code["key"], number["value"], number["result"],
            number["invoked"], number["completed"], number["completed_index"], number["outcome"],
            code["error"], fs, keys, values, errors,
            number["version"] if versioned and (number["version"] >= 0).any() else None,
            code["node"] if len(nodes) > 1 and code["node"].any() else None, nodes,
        )  # fmt: skip

    def _table(self, name: str) -> Table:
        found = Table()
        if name in self._dictionaries:
            found.codes(self._dictionaries[name].to_pylist())
        return found

    def _coded(self) -> Table:
        """Makes codes of values and results, in place.

        Whole numbers that lie close together are coded by their distance: there are no objects to be made.
        """
        values, columns = Table(), [self._numbers[name] for name in VALUES]
        low = min((low for low, _ in self._ends), default=0)
        high = max((high for _, high in self._ends), default=-1)
        if not self._ends:
            for column in columns:
                column[:] = NONE
        elif high - low <= 8 * len(self._index) + 1024:
            values = Span.of(low, high)
            for column in columns:
                np.maximum(column, low - 1, out=column)
                column -= low - 1
        else:
            distinct, place = np.unique(np.concatenate(columns), return_inverse=True)
            codes = values.codes([None if one == NULL else one for one in distinct.tolist()])[place.ravel()]
            for column, coded in zip(columns, np.split(codes, 2), strict=True):
                column[:] = coded
        for name, column in zip(VALUES, columns, strict=True):
            for texts, rows in self._texts[name]:  # each distinct one is decoded once
                known = [values.code(orjson.loads(text)) for text in texts.dictionary.to_pylist()]
                column[rows] = np.array(known, np.int64)[texts.indices.to_numpy()]
        return values


def _refuse(message: str) -> NoReturn:
    raise BadInput([Problem("history", f"{message}; a run records it otherwise")])
