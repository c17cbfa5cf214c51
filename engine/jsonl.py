"""JSON Lines, one event a line -> columns of events. Many lines are parsed at once, and one by one only to name what is wrong."""

from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Any

import numpy as np
import orjson

from engine.collecting import paused
from engine.columns import Ints, Table
from engine.pairing import TYPES, Events, bad

CHUNK = 1 << 17
FIELDS = ("index", "time", "process", "type", "f", "key", "value", "error", "version", "node")
MOST = 1 << 62  # a number is smaller
NUMBERED = {int, type(None)}
COLUMNS = ("line", *FIELDS)


class Gatherer:
    """Takes events as dicts and keeps columns."""

    def __init__(self) -> None:
        self.fs, self.keys, self.values = Table(), Table(), Table()
        self.errors, self.nodes = Table(), Table()
        self._parts: dict[str, list[Ints]] = {name: [] for name in COLUMNS}
        self._timed: bool | None = None  # every event has a time, or none has
        self._count = 0

    def take(self, lines: Sequence[int] | Ints, events: list[Any]) -> None:
        """Raises BadInput for the first event that is not one."""
        start = self._count
        self._count += len(events)
        columns = _quick(events)
        if columns is None:
            lines, events = _clients(lines, events, start)
            columns = {name: [event.get(name) for event in events] for name in FIELDS}
        if not events:
            return
        self._keep("line", np.asarray(lines, np.int64))
        self._keep("process", np.fromiter(columns["process"], np.int64, len(events)))
        self._keep("type", np.fromiter(map(TYPES.__getitem__, columns["type"]), np.int64, len(events)))
        self._keep("f", self.fs.codes(columns["f"]))
        self._keep(
            "index", np.fromiter(columns.get("index") or range(start, self._count), np.int64, len(events))
        )
        self._keep("time", self._time(columns.get("time"), lines))
        told = columns.get("version")
        self._keep("version", _versions(told) if told else np.full(len(events), -1, np.int64))
        tables = (self.keys, self.values, self.errors, self.nodes)
        for name, table in zip(("key", "value", "error", "node"), tables, strict=True):
            found = columns.get(name)
            self._keep(name, np.zeros(len(events), np.int64) if found is None else table.codes(found))

    def _keep(self, name: str, column: Ints) -> None:
        self._parts[name].append(column)

    def _time(self, found: Sequence[int | None] | None, lines: Sequence[int] | Ints) -> Ints:
        timed = found is not None and found[0] is not None
        if self._timed is None:
            self._timed = timed
        if found is not None and self._timed and None not in found:
            return np.fromiter(found, np.int64, len(found))
        absent = range(len(lines)) if found is None else [i for i, time in enumerate(found) if time is None]
        if not self._timed and len(absent) == len(lines):
            return np.asarray(lines, np.int64)  # the order in the file is the time
        at = absent[0] if self._timed else next(i for i in range(len(lines)) if i not in set(absent))
        bad(lines[at], "time must be a whole number in every event, or absent in all of them")

    def events(self) -> Events:
        found = {n: np.concatenate([np.zeros(0, np.int64), *self._parts.pop(n)]) for n in COLUMNS}
        return Events(
            **found, fs=self.fs, keys=self.keys, values=self.values, errors=self.errors,
            nodes=self.nodes)  # fmt: skip


def _versions(found: Sequence[int | None]) -> Ints:
    return np.fromiter((-1 if one is None else one for one in found), np.int64, len(found))


def _quick(events: list[Any]) -> dict[str, Any] | None:
    """The columns of events that all have the same fields, as they must be; None where one by one is needed."""
    try:
        names = [name for name in FIELDS if name in events[0]]
        found: dict[str, Any] = dict(
            zip(names, zip(*map(itemgetter(*names), events), strict=True), strict=True)
        )
        if sum(map(len, events)) != len(events) * len(events[0]):
            found |= {name: [e.get(name) for e in events] for name in FIELDS if name not in names}
        kinds = {name: set(map(type, column)) for name, column in found.items()}
        if any(kinds[name] != {int} for name in ("process", "index", "time") if name in found):
            return None
        if "key" in found and kinds["key"] & {list, dict}:
            return None
        if not kinds.get("node", set()) <= {str, type(None)} or not kinds.get("version", set()) <= NUMBERED:
            return None
        if not all(0 <= one < MOST for one in found.get("version", ()) if one is not None):
            return None
        if kinds["type"] | kinds["f"] != {str} or not set(found["type"]) <= TYPES.keys():
            return None
        if max(map(max, (found[n] for n in ("process", "index", "time") if n in found))) >= MOST:
            return None
    except (KeyError, TypeError, IndexError):
        return None
    return found


def _clients(
    lines: Sequence[int] | Ints, events: list[Any], start: int
) -> tuple[list[int], list[dict[str, Any]]]:
    """The events of clients, checked one by one."""
    kept, where = [], []
    for position, (line, event) in enumerate(zip(lines, events, strict=True), start):
        if not isinstance(event, dict):
            bad(line, 'is not an event; one looks like {"type": "invoke", "f": "add", …}')
        if isinstance(event.get("process"), str):
            continue  # the nemesis is no client
        event.setdefault("index", position)
        _refuse(line, event)
        kept.append(event)
        where.append(line)
    return where, kept


def _refuse(line: int, event: dict[str, Any]) -> None:
    for name in ("index", "time", "process"):
        if type(event.get(name, 0 if name == "time" else None)) is not int:
            bad(line, f"{name} must be a whole number, not {event.get(name)!r}")
        if not -MOST < event.get(name, 0) < MOST:
            bad(line, f"{name} is too large: {event[name]}")
    if not isinstance(event.get("type"), str) or event["type"] not in TYPES:
        bad(line, f"type must be invoke, ok, fail or info, not {event.get('type')!r}")
    version = event.get("version")
    if version is not None and (type(version) is not int or not 0 <= version < MOST):
        bad(line, f"version must be a whole number that is not below 0, not {version!r}")
    if not isinstance(event.get("node"), str | None):
        bad(line, f"node must be a name, not {event['node']!r}")
    if not isinstance(event.get("f"), str):
        bad(line, f"f must name the operation, not {event.get('f')!r}")
    if isinstance(event.get("key"), list | dict):
        bad(line, "key must be a text or a number")


def read(data: bytes) -> Events:
    """Raises BadInput naming the line. A last line that is torn is left out."""
    gathered = Gatherer()
    line = 1
    with paused():
        for chunk in _chunks(_whole(data)):
            line = _take(gathered, chunk, line)
    return gathered.events()


def lines(events: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    """Events as they are written: an export, from which `read` makes the same history."""
    return (orjson.dumps(event) + b"\n" for event in events)


def _whole(data: bytes) -> bytes:
    """Without what follows the last line end, unless that is a whole event."""
    torn = data[data.rfind(b"\n") + 1 :]
    if not torn.strip():
        return data
    try:
        orjson.loads(torn)
    except orjson.JSONDecodeError:
        return data[: len(data) - len(torn)]
    return data + b"\n"


def _chunks(data: bytes) -> Iterator[bytes]:
    """Whole lines without their last line end."""
    start = 0
    while start < len(data):
        end = data.find(b"\n", min(start + CHUNK, len(data) - 1))
        end = len(data) if end < 0 else end
        yield data[start:end]
        start = end + 1


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
