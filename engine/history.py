"""Operations and what became of them: JSON Lines in Jepsen's shape, one event a line.

    {"index": 0, "time": 12034567, "process": 3, "type": "invoke", "f": "add", "value": 7}
    {"index": 1, "time": 15034567, "process": 3, "type": "ok",     "f": "add", "value": 7}

`time` is monotonic nanoseconds. A process has one operation open at a time; after `info` (nobody
knows whether it happened) it never acts again under that number.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from engine.errors import BadInput, Problem

TYPES = ("invoke", "ok", "fail", "info")


@dataclass(frozen=True, slots=True)
class Op:
    index: int
    time: int
    process: int | str
    type: str
    f: str
    value: Any = None
    key: str | None = None
    error: str | None = None


History = list[Op]


class Writer:
    """Appends operations; nothing is on disk before `flush`."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._lines, self._index = bytearray(), 0

    def add(self, time: int, process: int, type: str, f: str, value: Any, error: str | None = None) -> None:
        line = {"index": self._index, "time": time, "process": process, "type": type, "f": f, "value": value}
        if error:
            line["error"] = error
        self._lines += orjson.dumps(line) + b"\n"
        self._index += 1

    def flush(self) -> None:
        while self._lines:
            del self._lines[: os.write(self._fd, self._lines)]

    def close(self) -> None:
        self.flush()
        os.close(self._fd)


def read(path: Path) -> History:
    """The operations in a file; a last line that was cut off is left out. Raises BadInput."""
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    found: History = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            found.append(_op(orjson.loads(line), len(found)))
        except (orjson.JSONDecodeError, ValueError, TypeError) as error:
            if number == len(lines):
                break  # torn: its writer died
            raise BadInput([Problem(str(path), f"is not an operation: {error}", number)]) from None
    return found


def _op(data: Any, index: int) -> Op:
    if not isinstance(data, dict):
        raise ValueError("must be an object")
    if data.get("type") not in TYPES:
        raise ValueError(f"type must be one of {', '.join(TYPES)}, not {data.get('type')!r}")
    for name, kind in (("time", int), ("f", str)):
        if not isinstance(data.get(name), kind):
            raise ValueError(f"{name} must be given, as {kind.__name__}")
    if "process" not in data:
        raise ValueError("process must be given")
    known = ("time", "process", "type", "f", "value", "key", "error")
    return Op(index=data.get("index", index), **{k: data[k] for k in known if k in data})
