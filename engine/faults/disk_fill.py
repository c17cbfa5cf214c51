import contextlib
import errno
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import psutil

from engine import units
from engine.capabilities import Captured, Needs, ReadBack
from engine.capabilities import Host as IsHere
from engine.errors import EngineError, Refused
from engine.faults import Fault, listed
from engine.host import reserves
from engine.parameters import param
from engine.processes import short
from engine.target import Node

CHUNK = 256 * 2**20  # bytes taken at a time: between two, it is seen whether the fault is over
BLOCK = 4096


@dataclass(frozen=True, kw_only=True)
class DiskFill(Fault):
    """Fills the file system of a directory by one large file."""

    directory: str = param(help="the directory, on the node's host, whose file system is filled")
    size: float | None = param(None, unit="size", help="how much it takes", least=1)
    leave: float | None = param(
        None,
        unit="size",
        help="how much it leaves free; where neither is given, no more than must remain free",
    )

    needs: ClassVar[Needs] = IsHere

    def __post_init__(self) -> None:
        if self.size is not None and self.leave is not None:
            raise ValueError("gives both a size and what to leave; give one")

    def line(self, nodes: Sequence[str]) -> str:
        where = f"{self.directory} on the host of {listed(nodes)}"
        if self.size is not None:
            return f"take {units.show(self.size, 'size')} of the disk in {where}"
        return f"fill the disk in {where}" + (
            f" up to the last {units.show(self.leave, 'size')}" if self.leave else ""
        )

    def capture(self, driver: Any, node: Node) -> Captured:
        where = reserves.directory(self.directory)
        size = self._size(where)
        reserves.refuse_disk(where, size)
        return {"directory": str(where), "size": size}

    def _size(self, where: Path) -> int:
        if self.size is not None:
            return int(self.size)
        free, left = reserves.disk_free(where), self.leave
        size = int(free - (reserves.disk_kept(where) if left is None else left))
        if size <= 0:
            raise Refused(f"Only {reserves.about(free)} are free in {where}: nothing is left to be filled.")
        return size

    def inject(self, driver: Any, node: Node, captured: Captured, mark: str, until: float) -> None:
        where = Path(captured["directory"])
        size = self._size(where)  # what is free may be less than it was
        if self.size is not None:
            reserves.refuse_disk(where, size)
        file = os.open(_file(captured, mark), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            _take(file, size, until)
        except OSError as error:
            raise EngineError(f"{where} could not be filled: {error.strerror}.") from None
        finally:
            os.close(file)

    def heal(self, driver: Any, node: Node, captured: Captured, mark: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.truncate(_file(captured, mark), 0)  # the space is free at once, whoever holds the file
            _file(captured, mark).unlink()

    def read_back(self, driver: Any, node: Node, captured: Captured, mark: str) -> ReadBack:
        file = _file(captured, mark)
        if file.exists():
            return ReadBack(False, f"{file} is still there")
        if held := _holders(file.name):
            return ReadBack(False, f"{file} is removed, but {short(held[0])} holds it open")
        free = reserves.about(reserves.disk_free(file.parent)) if file.parent.is_dir() else "all"
        return ReadBack(True, f"the file is gone, {free} are free")


def _take(file: int, size: int, until: float) -> None:
    """Takes the space chunk by chunk, for a file system without fallocate is slow; stops when healed, or full."""
    at, chunk = 0, CHUNK
    while at < size and chunk >= BLOCK and time.time() < until and os.fstat(file).st_nlink:
        piece = min(chunk, size - at)
        try:
            os.posix_fallocate(file, at, piece)
            at += piece
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            chunk //= 2


def _file(captured: Captured, mark: str) -> Path:
    return Path(captured["directory"], f"chaosboard-{mark}.fill")


def _holders(name: str) -> list[int]:
    """The processes that have a file of that name open, also one that was removed."""
    found = []
    for pid in psutil.pids():
        with contextlib.suppress(OSError):
            if any(name in _target(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")):
                found.append(pid)
    return found


def _target(link: str) -> str:
    try:
        return os.readlink(link)
    except OSError:
        return ""
