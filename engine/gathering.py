"""Events -> columns of events: many that look alike at once, and one by one only to name what is wrong."""

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

import numpy as np

from engine.blocks import Block, Column, Texts, Whole
from engine.columns import NONE, Ints, Span, Table
from engine.pairing import TYPES, Events, bad, is_same

FIELDS = ("index", "time", "process", "type", "f", "key", "value", "error", "version", "node")
MOST = 1 << 62  # a number is smaller
NUMBERED = {int, type(None)}
COLUMNS = ("line", *FIELDS)


class Gatherer:
    """Takes events as dicts or as blocks, and keeps columns."""

    def __init__(self) -> None:
        self.fs, self.keys, self.values = Table(), Table(), Table()
        self.errors, self.nodes = Table(), Table()
        self._parts: dict[str, list[Ints]] = {name: [] for name in COLUMNS}
        self._timed: bool | None = None  # every event has a time, or none has
        self._count = 0
        self._whole: list[tuple[int, Whole]] = []  # parts of values that are numbers, without a code yet

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
        self._keep("version", _versions(told) if told else _same(-1, len(events)))
        tables = (self.keys, self.values, self.errors, self.nodes)
        for name, table in zip(("key", "value", "error", "node"), tables, strict=True):
            found = columns.get(name)
            self._keep(name, _same(NONE, len(events)) if found is None else table.codes(found))

    def take_block(self, line: int, block: Block) -> bool:
        """Events of clients on lines of their own; False where one by one is needed."""
        time, count, start = block.numbers["time"], block.count, self._count
        if not _is_fit(block) or (start and (time is not None) is not self._timed):
            return False
        self._timed, self._count = time is not None, start + count
        lines, number = np.arange(line, line + count), block.numbers
        self._keep("line", lines)
        self._keep("index", _numbers(number["index"], np.arange(start, self._count)))
        self._keep("time", _numbers(time, lines))  # without times their order is the time
        self._keep("process", _numbers(number["process"], lines))
        self._keep("version", _numbers(number["version"], _same(-1, count)))
        self._keep("f", _codes(block.texts["f"], self.fs, count))
        self._keep("key", _codes(block.either["key"], self.keys, count))
        self._keep("error", _codes(block.texts["error"], self.errors, count))
        self._keep("node", _codes(block.texts["node"], self.nodes, count))
        if kinds := block.texts["type"]:
            self._keep("type", np.array([TYPES[one] for one in kinds.distinct], np.int64)[kinds.code])
        value = block.either["value"]
        if isinstance(value, Whole):
            self._whole.append((len(self._parts["value"]), value))
            self._keep("value", value.numbers)
        else:
            self._keep("value", _codes(value, self.values, count))
        return True

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

    def _code_numbers(self) -> None:
        """Numbers that lie close together are coded by their distance: there are no objects to be made."""
        parts = self._parts["value"]
        found = np.concatenate(
            [one.numbers if one.there is None else one.numbers[one.there] for _, one in self._whole]
        )
        low, high = int(found.min()), int(found.max())
        if high - low > 4 * len(found) + 1024:
            for at, one in self._whole:
                parts[at] = _codes(one, self.values, len(one.numbers))
            return
        span = Span.of(low, high)
        new = np.array([span.code(_as_number(value)) for value in self.values.values], np.int64)
        numbered = dict(self._whole)
        for at, part in enumerate(parts):
            if at not in numbered:
                parts[at] = new[part]
            elif (there := numbered[at].there) is None:
                parts[at] = part - (low - 1)
            else:
                parts[at] = np.where(there, part - (low - 1), NONE)
        self.values = span

    def events(self) -> Events:
        if self._whole:
            self._code_numbers()
        found = {name: _together(self._parts.pop(name)) for name in COLUMNS}
        return Events(
            **found, fs=self.fs, keys=self.keys, values=self.values, errors=self.errors,
            nodes=self.nodes)  # fmt: skip


def _same(number: int, count: int) -> Ints:
    """So many times, in the place of one."""
    return np.broadcast_to(np.int64(number), count)


def _together(parts: list[Ints]) -> Ints:
    if parts and all(is_same(part) and part[0] == parts[0][0] for part in parts):
        return _same(int(parts[0][0]), sum(map(len, parts)))
    return np.concatenate([np.zeros(0, np.int64), *parts])


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
    except (KeyError, TypeError, IndexError, ValueError):
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


def _is_fit(block: Block) -> bool:
    """Is each event whole and in range?"""
    kinds, f, version = block.texts["type"], block.texts["f"], block.numbers["version"]
    if kinds is None or f is None or block.numbers["process"] is None:
        return False
    if not set(kinds.distinct) <= TYPES.keys() or (kinds.code < 0).any() or (f.code < 0).any():
        return False
    for name in ("index", "time", "process"):
        column = block.numbers[name]
        if column and (column.there is not None or not _are_small(column.numbers)):
            return False
    return version is None or (_are_small(version.numbers) and bool((version.numbers >= 0).all()))


def _are_small(numbers: Ints) -> bool:
    return max(int(numbers.max()), -int(numbers.min())) < MOST


def _numbers(column: Whole | None, otherwise: Ints) -> Ints:
    if column is None:
        return otherwise
    return column.numbers if column.there is None else np.where(column.there, column.numbers, otherwise)


def _codes(column: Column | None, table: Table, count: int) -> Ints:
    if column is None:
        return _same(NONE, count)
    if isinstance(column, Texts):
        return np.append(table.codes(column.distinct), NONE)[column.code]
    distinct, place = np.unique(column.numbers, return_inverse=True)
    found: Ints = table.codes(distinct.tolist())[place.ravel()]
    return found if column.there is None else np.where(column.there, found, NONE)


def _as_number(value: Any) -> Any:
    """1.0 has the code of 1, as it has in a table of both."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
