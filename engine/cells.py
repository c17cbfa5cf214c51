"""Lines of JSON with the same fields in the same order, read as the cells of a table: twice as fast as JSON.

The name of the field is how each cell of a column begins, which is looked at; what follows it is a number, or
a text without a comma. Lines of a few kinds are sorted apart by how many commas they have.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from engine.blocks import EITHER, NUMBERS, TEXTS, Block, Column, Texts, Whole, numbers, texts, whole
from engine.columns import Ints

MOST_KINDS = 6  # of lines
BEGINS = re.compile(rb'\{?\s*"(\w+)"\s*:\s*')
Cells = dict[str, Column | None]


class _Unfit(Exception):
    """It is no such table."""


@dataclass(frozen=True)
class _Kind:
    """How the cells of one kind of line begin, by the names of their fields."""

    begins: dict[str, str]

    @classmethod
    def of(cls, line: bytes) -> "_Kind":
        found = {}
        for cell in line.split(b","):
            match = BEGINS.match(cell)
            if match is None or match[1].decode() in found:
                raise _Unfit
            found[match[1].decode()] = match[0].decode()
        return cls(found)


def block(chunk: bytes, count: int, lines: Sequence[bytes], kinds: dict[str, type]) -> Block | None:
    """`lines` are some of the `count` in the chunk, `kinds` says of keys and values what they are.

    The chunk has no backslash, each line begins with { and ends with }. None where it is no such table.
    """
    import pyarrow as pa

    number = {name for name, kind in kinds.items() if kind is int} | {*NUMBERS}
    try:
        if b"0x" in chunk:
            raise _Unfit  # Arrow takes it for a number
        shapes: dict[int, _Kind] = {}
        for line in lines:
            if (kind := _Kind.of(line)) != shapes.setdefault(line.count(b","), kind) or len(
                shapes
            ) > MOST_KINDS:
                raise _Unfit
        if len(shapes) == 1:
            return Block.of(count, _read(pa.py_buffer(chunk), next(iter(shapes.values())), count, number))
        parts = [
            (rows, _read(data, shapes[commas], len(rows), number))
            for commas, rows, data in _apart(chunk, shapes)
        ]
    except (pa.ArrowInvalid, _Unfit):
        return None
    return Block.of(count, {name: _together(name, count, parts) for name in (*NUMBERS, *TEXTS, *EITHER)})


def _read(data: Any, kind: _Kind, count: int, number: set[str]) -> Cells:
    import pyarrow as pa
    from pyarrow import csv

    names = list(kind.begins)
    last = names[-1]
    ends = {name: "}" if name == last else "" for name in names}
    coded = pa.dictionary(pa.int32(), pa.utf8())
    how = csv.ConvertOptions(
        check_utf8=False, strings_can_be_null=True,
        null_values=[f"{begin}null{ends[name]}" for name, begin in kind.begins.items()],
        column_types={name: pa.utf8() if name in number else coded for name in names},
    )  # fmt: skip
    table = csv.read_csv(
        pa.BufferReader(data),
        csv.ReadOptions(use_threads=False, block_size=len(data) + 1, column_names=names),
        csv.ParseOptions(quote_char=False, double_quote=False),
        how,
    )
    if table.num_rows != count:
        raise _Unfit
    found: Cells = {}
    for name, begin in kind.begins.items():
        cells = whole(table.column(name))
        found[name] = (
            _numbers(cells, begin, ends[name]) if name in number else _texts(cells, begin, ends[name])
        )
    return found


def _numbers(cells: Any, begin: str, end: str) -> Whole | None:
    import pyarrow as pa
    import pyarrow.compute as pc

    if not _all(pc.starts_with(cells, pattern=begin)):
        raise _Unfit
    digits = pc.utf8_slice_codeunits(cells, len(begin), -len(end) if end else None)
    return numbers(digits.cast(pa.int64()))


def _all(found: Any) -> bool:
    import pyarrow.compute as pc

    return pc.all(found).as_py() is not False  # null where all of them are


def _texts(cells: Any, begin: str, end: str) -> Texts | None:
    found = texts(cells)
    if found is None:
        return None
    if not all(cell.startswith(begin) and cell.endswith(end) for cell in found.distinct):
        raise _Unfit
    told = ",".join(cell[len(begin) : len(cell) - len(end)] for cell in found.distinct)
    try:
        distinct = orjson.loads(f"[{told}]")
    except orjson.JSONDecodeError:
        raise _Unfit from None
    if len(distinct) != len(found.distinct) or not all(type(one) is str for one in distinct):
        raise _Unfit
    return Texts(found.code, distinct)


def _apart(chunk: bytes, shapes: dict[int, _Kind]) -> Iterator[tuple[int, Ints, Any]]:
    """Of each kind of lines their numbers, and the lines. Raises _Unfit where a line is of none."""
    import pyarrow as pa

    data = chunk + b"\n"
    letters = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(letters == ord("\n")) + 1
    commas = np.searchsorted(np.flatnonzero(letters == ord(",")), ends)
    commas[1:] -= commas[:-1].copy()
    offsets = np.append(0, ends).astype(np.int32)
    lines = pa.StringArray.from_buffers(len(ends), pa.py_buffer(offsets), pa.py_buffer(data))
    left = len(ends)
    for number in shapes:
        rows = np.flatnonzero(commas == number)
        left -= len(rows)
        if len(rows):
            some = lines.take(pa.array(rows))
            yield number, rows, some.buffers()[2]
    if left:
        raise _Unfit


def _together(name: str, count: int, parts: Sequence[tuple[Ints, Cells]]) -> Column | None:
    """One column of those of all kinds of lines."""
    there = np.zeros(count, bool)
    whole_, code = np.zeros(count, np.int64), np.full(count, -1, np.int64)
    distinct: list[str] = []
    for rows, cells in parts:
        column = cells.get(name)
        if isinstance(column, Whole):
            whole_[rows] = column.numbers
            there[rows] = True if column.there is None else column.there
        elif column is not None:
            code[rows] = np.where(column.code < 0, -1, column.code + len(distinct))
            distinct += column.distinct
    if distinct:
        return Texts(code, distinct)
    return Whole(whole_, None if there.all() else there) if there.any() else None
