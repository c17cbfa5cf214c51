"""JSON Lines, one event a line -> columns of events. Many lines are parsed at once, and one by one only to name what is wrong."""

from collections.abc import Iterable, Iterator
from mmap import mmap
from typing import Any

import numpy as np
import orjson

from engine.arrow_json import block, blocks
from engine.blocks import Block
from engine.collecting import paused
from engine.gathering import Gatherer
from engine.pairing import Events, bad

CHUNK = 1 << 17  # bytes that one call of the plain reader takes
BLOCK = 1 << 22  # bytes that one call of the quick reader takes
TRIES = 3  # blocks that the quick reader is tried on in vain


Data = bytes | mmap


def read(data: Data) -> Events:
    """Raises BadInput naming the line. A last line that is torn is left out."""
    gathered, end = Gatherer(), _end(data)
    line, start = 1, 0
    with paused():
        if end > BLOCK:
            line, start = _quickly(gathered, data, end)
        for chunk in _chunks(data, CHUNK, start, end):
            line = _take(gathered, chunk, line)
    return gathered.events()


def lines(events: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    """Events as they are written: an export, from which `read` makes the same history."""
    return (orjson.dumps(event) + b"\n" for event in events)


def _end(data: Data) -> int:
    """Where what is whole ends: at the last line end, or behind what follows it, if that is an event."""
    last = data.rfind(b"\n") + 1
    try:
        orjson.loads(data[last:])
    except orjson.JSONDecodeError:
        return last
    return len(data)


def _chunks(data: Data, size: int, start: int, end: int) -> Iterator[bytes]:
    """Whole lines without their last line end."""
    while start < end:
        stop = data.find(b"\n", min(start + size, end - 1), end)
        stop = end if stop < 0 else stop
        yield data[start:stop]
        start = stop + 1


def _quickly(gathered: Gatherer, data: Data, end: int) -> tuple[int, int]:
    """Which line, and which byte, was come to: where the events are not as they must be for it, it is given up."""
    line, at, vain = 1, 0, 0
    for chunk, found in blocks(_chunks(data, BLOCK, 0, end)):
        took, whole = _take_block(gathered, chunk, line, found)
        line, at = line + took, at + len(chunk) + 1
        vain = 0 if whole else vain + 1
        if vain == TRIES:
            break
    return line, at


def _take_block(gathered: Gatherer, chunk: bytes, line: int, found: Block | None) -> tuple[int, bool]:
    """The number of its lines, and whether much of it was fit; around a line that is odd only the half is read slowly."""
    if found is not None and gathered.take_block(line, found):
        return found.count, True
    middle = chunk.find(b"\n", len(chunk) // 2)
    if len(chunk) <= CHUNK or middle < 0:
        return _take(gathered, chunk, line) - line, False
    count, fit = 0, False
    for half in (chunk[:middle], chunk[middle + 1 :]):
        took, whole = _take_block(gathered, half, line + count, block(half))
        count, fit = count + took, fit or whole
    return count, fit


def _take(gathered: Gatherer, chunk: bytes, line: int) -> int:
    """Returns the number of the line after the chunk."""
    size = chunk.count(b"\n") + 1
    try:
        events = orjson.loads(b"[" + chunk.replace(b"\n", b",") + b"]")
    except orjson.JSONDecodeError:
        events = []
    if len(events) == size:
        gathered.take(np.arange(line, line + size), events)
    else:
        gathered.take(*_one_by_one(chunk, line))
    return line + size


def _one_by_one(chunk: bytes, line: int) -> tuple[list[int], list[Any]]:
    lines, events = [], []
    for number, text in enumerate(chunk.split(b"\n"), line):
        if not text.strip():
            continue
        try:
            events.append(orjson.loads(text))
        except orjson.JSONDecodeError as error:
            bad(number, f"is not JSON: {error}; each line must hold one whole event")
        lines.append(number)
    return lines, events
