"""Directories of this host: how large they are, who writes to them, and which must never be hurt."""

import contextlib
import os
import shutil
import sys
from pathlib import Path

from engine import state
from engine.errors import Refused
from engine.host import memory_disks
from engine.text import listed

MARGIN = 64 * 2**20  # bytes that a filesystem keeps free beside a copy
TOP = ("/etc", "/usr", "/bin", "/sbin", "/lib", "/lib64", "/boot", "/dev", "/proc", "/sys", "/run")
TREES = ("/var/lib", "/var/log", "/var/cache", "/var/spool", "/var/tmp", "/var/mail")


def check(directory: Path, largest: float) -> int:
    """The bytes that `directory` holds. Raises Refused where it must or can not be hurt."""
    if not directory.is_absolute():
        raise Refused(f"{directory} says not where it is.", "Write the whole path, from / on.")
    if not directory.is_dir():
        raise Refused(f"There is no directory {directory} on this host.", "Is the path right?")
    if why := _precious(directory):
        raise Refused(
            f"{directory} {why}; it is never damaged.", "Name the data directory of the node alone."
        )
    if memory_disks.within(directory):
        raise Refused(
            f"{directory} is a mount point or holds one, so that it cannot be renamed.",
            "Name the directory within it that holds the data.",
        )
    if not os.access(directory.parent, os.W_OK | os.X_OK) or _foreign(directory):
        raise Refused(f"{directory} belongs to another user.", "Run chaosboard as that user, or as root.")
    size = size_of(directory)
    if size > largest:
        raise Refused(f"{directory} holds {_bytes(size)}, more than {_bytes(largest)}.", "Raise `largest`.")
    if (free := shutil.disk_usage(directory).free) < size + MARGIN:
        raise Refused(f"Beside {directory} only {_bytes(free)} are free; its copy needs {_bytes(size)}.")
    return size


def _precious(directory: Path) -> str:
    if len(directory.parts) < 3 or str(directory) in TREES:
        return "is a directory of the host"
    if str(directory).startswith(tuple(f"{top}/" for top in TOP)):
        return "belongs to the host"
    if directory.parent == Path("/home") or Path.home().is_relative_to(directory):
        return "is somebody's home"
    for own in (state.root(), Path(sys.prefix), Path(__file__)):
        if own.resolve().is_relative_to(directory):
            return "holds chaosboard itself, or what it must remember"
    return ""


def _foreign(directory: Path) -> bool:
    """Whether a copy could not be given the same owners."""
    if (me := os.geteuid()) == 0:
        return False
    return any(entry[1] != me for entry in _looks(directory))


def _looks(directory: Path) -> list[tuple[int, int, int]]:
    """Of each path: bytes of it, owner, bytes on the disk."""
    found = []
    for folder, folders, files in os.walk(directory):
        for path in (folder, *(os.path.join(folder, name) for name in (*folders, *files))):
            with contextlib.suppress(FileNotFoundError):  # it runs still, and tidies up
                seen = os.lstat(path)
                found.append((seen.st_size, seen.st_uid, seen.st_blocks * 512))
    return found


def size_of(directory: Path) -> int:
    """Bytes on the disk."""
    return sum(blocks for _, _, blocks in _looks(directory))


def length_of(directory: Path, block: int) -> int:
    """Bytes of it where holes take room too, each file rounded up to blocks."""
    return sum(-(-length // block) * block for length, _, _ in _looks(directory))


def _bytes(size: float) -> str:
    for unit, factor in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size:.0f} B"


def writers(directory: Path) -> list[int]:
    """The processes that have a file in `directory` open for writing (those that may be seen)."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if any(_writes(entry, fd, f"{directory}/") for fd in os.listdir(entry / "fd")):
                found.append(int(entry.name))
    return found


def _writes(process: Path, fd: str, below: str) -> bool:
    with contextlib.suppress(OSError):
        if os.readlink(process / "fd" / fd).startswith(below):
            flags = (process / "fdinfo" / fd).read_text().partition("flags:")[2].split()[0]
            return int(flags, 8) & os.O_ACCMODE != os.O_RDONLY
    return False


def in_words(paths: list[str]) -> str:
    """Some paths, and how many more there are."""
    more = [f"{len(paths) - 3} more"] if len(paths) > 3 else []
    return listed([*paths[:3], *more])
