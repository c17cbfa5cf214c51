"""Histories: what each operation was, when it was called, and how it ended.

On disk JSON Lines, one event a line in Jepsen's shape (docs/histories.md); in memory one `Op` for
each invocation with its completion.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from engine.clock import now_ns
from engine.errors import BadInput, Problem
from engine.samples import Outcome

OUTCOMES = {"ok": Outcome.OK, "fail": Outcome.FAIL, "info": Outcome.INFO}


@dataclass(slots=True)
class Op:
    """One operation; times in monotonic ns. One that never ended is INFO, and may yet happen.

    `value` is what was asked; `result` is what was answered, where it ended ok.
    """

    index: int
    process: int
    f: str
    value: Any
    key: Any
    invoked: int
    completed: int | None = None
    outcome: Outcome = Outcome.INFO
    result: Any = None
    error: str = ""
    completed_index: int | None = None


class History(NamedTuple):
    ops: list[Op]

    def __len__(self) -> int:
        return len(self.ops)

    def by_key(self) -> dict[Any, list[Op]]:
        """The operations on each object; a history of one object has the key None."""
        found: dict[Any, list[Op]] = {}
        for op in self.ops:
            found.setdefault(op.key, []).append(op)
        return found


def read(path: Path) -> History:
    """Raises BadInput naming the line. A torn last line is left out; nemesis events are no operations."""
    data = path.read_bytes()
    lines = data.split(b"\n")
    lines.pop()  # empty, or torn
    return History(_ops(lines))


def _ops(lines: list[bytes]) -> list[Op]:
    ops: list[Op] = []
    open_: dict[int, Op] = {}
    for number, event in _events(lines):
        process = event["process"]
        if event["type"] == "invoke":
            if process in open_:
                raise _bad(number, f"process {process} has an operation open already")
            key = event.get("key")
            op = Op(event["index"], process, event["f"], event.get("value"), key, event["time"])
            open_[process] = op
            ops.append(op)
            continue
        ended = open_.pop(process, None)
        if ended is None:
            raise _bad(number, f"process {process} ends an operation that it never began")
        ended.completed, ended.completed_index = event["time"], event["index"]
        ended.outcome = OUTCOMES[event["type"]]
        ended.error = str(event.get("error") or "")
        if ended.outcome is Outcome.OK:
            ended.result = event.get("value")
    return ops


def _events(lines: list[bytes]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line numbers and events of the clients, each with what it must have."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            event = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise _bad(number, f"is not JSON: {error}") from None
        if not isinstance(event, dict):
            raise _bad(number, 'is not an event; one looks like {"type": "invoke", "f": "add", …}')
        if isinstance(event.get("process"), str):
            continue
        event.setdefault("index", number - 1)
        for field in ("index", "time", "process"):
            if type(event.get(field)) is not int:
                raise _bad(number, f"{field} must be a whole number, not {event.get(field)!r}")
        if event.get("type") not in ("invoke", *OUTCOMES):
            raise _bad(number, f"type must be invoke, ok, fail or info, not {event.get('type')!r}")
        if not isinstance(event.get("f"), str):
            raise _bad(number, f"f must name the operation, not {event.get('f')!r}")
        if isinstance(event.get("key"), list | dict):
            raise _bad(number, "key must be a text or a number")
        yield number, event


def _bad(number: int, message: str) -> BadInput:
    return BadInput([Problem("history", message, number)])


class Writer:
    """Numbers and writes events; nothing is on disk before `flush`."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)
        self._buffer = bytearray()
        self._index = 0

    def add(self, process: int | str, type_: str, f: str, value: Any, error: str = "") -> int:
        """Returns the time that it wrote."""
        time = now_ns()
        event = {
            "index": self._index, "time": time, "process": process, "type": type_, "f": f, "value": value,
        }  # fmt: skip
        if error:
            event["error"] = error
        self._buffer += orjson.dumps(event) + b"\n"
        self._index += 1
        return time

    def flush(self) -> None:
        while self._buffer:
            del self._buffer[: self._file.write(self._buffer)]

    def close(self) -> None:
        self.flush()
        self._file.close()
