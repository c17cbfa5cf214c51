"""Samples on disk: fixed records in `samples.bin`, their error texts in `strings.jsonl` beside it."""

import json
import os
import struct
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Status(IntEnum):
    """What became of one reading."""

    OK = 0
    BAD = 1  # an answer, but not a good one
    TIMEOUT = 2
    CONNECTION = 3  # refused or broken
    OVERLOAD = 4  # never sent: the prober's own connections were all busy
    STANDBY = 5  # the answer of one that is well, and leaves this to another node


class Outcome(IntEnum):
    """What became of one operation, in `ops.bin`."""

    OK = 0
    FAIL = 1  # it certainly did not happen
    INFO = 2  # nobody knows


DTYPE = np.dtype(
    [
        ("scheduled", "<i8"),  # monotonic ns
        ("latency", "<i8"),  # ns, counted from the scheduled time
        ("probe", "<u2"),
        ("node", "<u2"),
        ("status", "<u2"),
        ("error", "<u2"),  # line in strings.jsonl, counted from 1; 0 is none. Of a good answer: who gave it
    ]
)
_RECORD = struct.Struct("<qqHHHH")
_MOST_STRINGS = 65_000
_LONGEST = 300
Samples = NDArray[np.void]


class Writer:
    """Appends records; nothing is on disk before `flush`."""

    def __init__(self, path: Path, strings: Path | None = None) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._fd = os.open(path, flags, 0o644)
        self._strings_fd = os.open(strings or path.with_name("strings.jsonl"), flags, 0o644)
        self._numbers: dict[str, int] = {"": 0}
        self._records = bytearray()
        self._strings = bytearray()

    def add(self, scheduled: int, latency: int, probe: int, node: int, status: int, error: str = "") -> None:
        number = self._number(error) if error else 0
        self._records += _RECORD.pack(scheduled, latency, probe, node, status, number)

    def _number(self, text: str) -> int:
        text = text[:_LONGEST]
        if text not in self._numbers and len(self._numbers) > _MOST_STRINGS:
            text = "more different errors than are kept"
        if text not in self._numbers:
            self._numbers[text] = len(self._numbers)
            self._strings += json.dumps(text).encode() + b"\n"
        return self._numbers[text]

    def flush(self) -> None:
        """Texts before the records that name them, so a reader never meets a number without its text."""
        for fd, buffer in ((self._strings_fd, self._strings), (self._fd, self._records)):
            while buffer:
                del buffer[: os.write(fd, buffer)]

    def close(self) -> None:
        self.flush()
        os.close(self._fd)
        os.close(self._strings_fd)


class Tail:
    """Reads a growing file, each record once and never a torn one."""

    def __init__(self, path: Path) -> None:
        self._path, self._offset = path, 0

    def read(self) -> Samples:
        """The records that came since the last read."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return np.empty(0, DTYPE)
        whole = len(data) - len(data) % DTYPE.itemsize
        self._offset += whole
        return np.frombuffer(data[:whole], DTYPE)


def load(path: Path) -> Samples:
    """Every whole record; none where there is no file."""
    return Tail(path).read()


def strings(path: Path) -> list[str]:
    """The error texts by number; number 0 is no error. A torn last line is left out."""
    try:
        lines = path.read_text().split("\n")[:-1]
    except FileNotFoundError:
        lines = []
    read: list[Any] = [json.loads(line) for line in lines]
    return ["", *map(str, read)]
