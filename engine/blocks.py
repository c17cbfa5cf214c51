"""Many lines of JSON at once, by Arrow's reader on all cores: events that are as a machine writes them.

What is odd in any way gives None: such lines are read one by one, by whoever can say what is wrong with them.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from engine.columns import Ints

NUMBERS = ("index", "time", "process", "version")
TEXTS = ("type", "f", "error", "node")
EITHER = ("key", "value")  # numbers in one history, texts in another
AHEAD = 4  # blocks that are read before they are asked for
LOOKED_AT = 64  # lines, to see whether keys and values are numbers or texts
NEWLINE, OPENS, CLOSES = b"\n{}"


@dataclass(frozen=True)
class Whole:
    """Whole numbers; `there` is None where every event has one."""

    numbers: Ints
    there: NDArray[np.bool_] | None


@dataclass(frozen=True)
class Texts:
    """`code` is the place of each in `distinct`, -1 where there is none."""

    code: Ints
    distinct: list[str]


Column = Whole | Texts


@dataclass(frozen=True)
class Block:
    """So many events; a column is None where none of them has it."""

    count: int
    numbers: dict[str, Whole | None]  # of NUMBERS
    texts: dict[str, Texts | None]  # of TEXTS
    either: dict[str, Column | None]  # of EITHER


def blocks(chunks: Iterable[bytes]) -> Iterator[tuple[bytes, Block | None]]:
    """Each chunk of whole lines, without its last line end, with what is in it."""
    with ThreadPoolExecutor() as pool:
        todo: deque[Any] = deque()
        for chunk in chunks:
            todo.append((chunk, pool.submit(block, chunk)))
            if len(todo) > AHEAD:
                done, found = todo.popleft()
                yield done, found.result()
        for done, found in todo:
            yield done, found.result()


def block(chunk: bytes) -> Block | None:
    import pyarrow as pa
    from pyarrow import json

    kinds = _kinds(chunk)
    count = _lines(chunk)
    if kinds is None or not count:
        return None
    types = [*((name, pa.int64()) for name in NUMBERS), *((name, pa.utf8()) for name in TEXTS)]
    types += [(name, pa.utf8() if kind is str else pa.int64()) for name, kind in kinds.items()]
    how = json.ParseOptions(explicit_schema=pa.schema(types), unexpected_field_behavior="ignore")
    size = json.ReadOptions(use_threads=False, block_size=len(chunk) + 1)
    try:
        table = json.read_json(pa.BufferReader(chunk), size, how)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
    if table.num_rows != count:
        return None
    found = {name: _column(table.column(name)) for name, _ in types}
    return Block(count, *({name: found[name] for name in names} for names in (NUMBERS, TEXTS, EITHER)))


def _lines(chunk: bytes) -> int:
    """How many there are; 0 where one of them is not an object in plain letters, or more than one.

    Between } and { JSON has a line end only around a whole value: as many values as lines are one in each.
    """
    if not chunk.isascii() or b"\\" in chunk:
        return 0
    letters = np.frombuffer(chunk, np.uint8)
    ends = np.flatnonzero(letters == NEWLINE)
    edges = (letters[0], letters[-1]) == (OPENS, CLOSES)
    fit = edges and (letters[ends - 1] == CLOSES).all() and (letters[ends + 1] == OPENS).all()
    return len(ends) + 1 if fit else 0


def _kinds(chunk: bytes) -> dict[str, type] | None:
    """By the first lines: are keys and values texts or whole numbers? None where they are neither."""
    try:
        events = [orjson.loads(line) for line in chunk[: 1 << 14].split(b"\n", LOOKED_AT)[:-1]]
        found = {name: {type(event.get(name)) for event in events} - {type(None)} for name in EITHER}
    except (orjson.JSONDecodeError, AttributeError):
        return None
    if any(kinds not in (set(), {int}, {str}) for kinds in found.values()):
        return None
    return {name: next(iter(kinds), int) for name, kinds in found.items()}


def _column(chunks: Any) -> Any:
    import pyarrow as pa

    array = chunks.combine_chunks()
    array = array.chunk(0) if isinstance(array, pa.ChunkedArray) else array
    if array.null_count == len(array):
        return None
    if pa.types.is_integer(array.type):
        there = array.is_valid().to_numpy(zero_copy_only=False) if array.null_count else None
        return Whole((array.fill_null(0) if array.null_count else array).to_numpy(), there)
    coded = array.dictionary_encode()
    code = (coded.indices.fill_null(-1) if array.null_count else coded.indices).to_numpy()
    return Texts(code.astype(np.int64), coded.dictionary.to_pylist())
