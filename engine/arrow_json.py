"""Many lines of JSON at once, by Arrow's readers on all cores: events that are as a machine writes them.

What is odd in any way gives None: such lines are read one by one, by whoever can say what is wrong with them.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import orjson

from engine import cells
from engine.blocks import EITHER, NUMBERS, TEXTS, Block, Column, numbers, texts, whole

AHEAD = 4  # blocks that are read before they are asked for
LOOKED_AT = 64  # lines, to see what is in them
NEWLINE, OPENS, CLOSES = b"\n{}"


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

    count = _lines(chunk)
    looked_at = chunk[: 1 << 14].split(b"\n", LOOKED_AT)[:-1]
    kinds = _kinds(looked_at)
    if kinds is None or not count:
        return None
    if found := cells.block(chunk, count, looked_at, kinds):
        return found
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
    return Block.of(count, {name: _column(table.column(name)) for name, _ in types})


def _column(chunks: Any) -> Column | None:
    import pyarrow as pa

    array = whole(chunks)
    return numbers(array) if pa.types.is_integer(array.type) else texts(array.dictionary_encode())


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


def _kinds(lines: Sequence[bytes]) -> dict[str, type] | None:
    """Are keys and values texts or whole numbers? None where they are neither."""
    try:
        events = [orjson.loads(line) for line in lines]
        found = {name: {type(event.get(name)) for event in events} - {type(None)} for name in EITHER}
    except (orjson.JSONDecodeError, AttributeError):
        return None
    if any(kinds not in (set(), {int}, {str}) for kinds in found.values()):
        return None
    return {name: next(iter(kinds), int) for name, kinds in found.items()}
