"""The state directory: undo records, leases, the halt and the files of runs; and atomic files in it."""

import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from engine.errors import BadInput, EngineError, Problem, Refused

OWNER = "CHAOSBOARD_OWNER"  # in the environment of every process that chaosboard started
PART = "CHAOSBOARD_PART"  # in that of its own parts, which are never victims
MARK = "CHAOSBOARD_MARK"  # in that of processes which do the harm of a fault: the id of its undo record


def root() -> Path:
    """$CHAOSBOARD_STATE, or `var` in the current directory."""
    return Path(os.environ.get("CHAOSBOARD_STATE") or "var").absolute()


def sign(root: Path) -> str:
    """By which a state directory is known in what it leaves on the machine where its path would be too long."""
    return hashlib.sha256(os.fsencode(os.path.realpath(root))).hexdigest()[:12]


def write(path: Path, data: Any) -> None:
    """Writes JSON so that a reader sees the old file or the new one, also after a power cut."""
    _replace(path, json.dumps(data, indent=1).encode(), sync=True)


def write_quickly(path: Path, text: str) -> None:
    """As `write`, but left to the kernel to bring to the disk: for what is worthless after a reboot."""
    _replace(path, text.encode(), sync=False)


def read(path: Path) -> Any:
    """The JSON in `path`, or None where there is no such file."""
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        return None


def _replace(path: Path, content: bytes, *, sync: bool) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_name(f".{path.name}.{os.getpid()}.{time.monotonic_ns()}")
        descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(descriptor, content)
            if sync:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(scratch, path)
        if sync:
            _sync_folder(path.parent)
    except PermissionError as error:
        raise EngineError(
            f"{path.parent} cannot be written: {error.strerror}.", "Set CHAOSBOARD_STATE."
        ) from None


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def lock(path: Path, who: str) -> IO[str] | str:
    """The lock at `path`, held until it is closed or this process ends; or the `who` of its holder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = open(path, "a+")  # noqa: SIM115 - held by whoever asked
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read()
        file.close()
        return holder or "another"
    file.truncate(0)
    file.write(who)
    file.flush()
    return file


def halt(state: Path, by: str, reason: str) -> bool:
    """Halts everything that works on `state`: whoever runs or watches there looks for this file.

    False where it was halted already: the first reason stays.
    """
    if halted(state):
        return False
    write(state / "halt", {"at": datetime.now(UTC).isoformat(), "by": by, "reason": reason})
    return True


def halted(state: Path) -> dict[str, Any] | None:
    """Who halted everything, when and why; or None."""
    found = read(state / "halt")
    return found if isinstance(found, dict) else None


def take_in(file: Path, chunks: Iterable[bytes], *, most: int, free: int, remedy: str) -> int:
    """Writes what somebody uploads to a new file of its owner alone, as it comes; its size in bytes.

    Raises Refused above `most` bytes, or where less than `free` bytes of the disk would be left, for which `remedy`
    is told; BadInput where there is nothing. What was written by then stays for the caller to drop.
    """
    size = 0
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        for chunk in chunks:
            size += len(chunk)
            if size > most:
                raise Refused(f"The file is larger than {most / 1e6:,.0f} MB.", "Nothing was stored.")
            if shutil.disk_usage(file.parent).free < free + len(chunk):
                raise Refused("There is not enough room on the board's disk.", remedy)
            out.write(chunk)
    if not size:
        raise BadInput([Problem("file", "is empty")])
    return size
