"""What a fault must leave of this host, so that the host and chaosboard live on: memory and disk space."""

import os
import stat
from pathlib import Path

import psutil

from engine import state
from engine.errors import EngineError, Refused, Unreachable
from engine.host import hierarchies
from engine.units import show

MEMORY_SHARE, MEMORY_LEAST = 0.10, 256 * 2**20
DISK_SHARE, DISK_LEAST = 0.01, 256 * 2**20
IN_MEMORY = {"tmpfs", "ramfs"}


def memory_available() -> int:
    """The bytes that may be had without swapping, on this host and in the control groups of this process."""
    available = int(psutil.virtual_memory().available)
    try:
        left = hierarchies.memory_left()
    except EngineError:
        left = None
    return available if left is None else min(available, left)


def memory_kept() -> int:
    """The bytes of memory that always remain available: a tenth, at least 256 MiB."""
    return max(int(psutil.virtual_memory().total * MEMORY_SHARE), MEMORY_LEAST)


def refuse_memory(size: float, taken: float = 0.0) -> None:
    """Raises Refused where `size` bytes more, besides `taken` by others, are more than this host can miss."""
    available = memory_available() - taken
    if available - size < memory_kept():
        raise Refused(
            f"{about(size)} of memory cannot be taken: {about(available)} are available on this host, and "
            f"{about(memory_kept())} must remain (a tenth of it, at least 256 MiB).",
            "Take less.",
        )


def directory(path: str) -> Path:
    """The directory, which must be there and be writable. Raises Refused or Unreachable."""
    found = Path(path)
    if not found.is_absolute():
        raise Refused(f"{path} is not an absolute path.", "Write it from the root, as in /var/lib/data.")
    try:
        if not stat.S_ISDIR(found.stat().st_mode):
            raise Refused(f"{path} is not a directory.")
    except OSError as error:
        raise Unreachable(f"The directory {path} is not there: {error.strerror}.") from None
    if not os.access(found, os.W_OK | os.X_OK):
        raise Refused(f"The directory {path} cannot be written.", "Choose another, or run as its owner.")
    return found


def disk_free(path: Path) -> int:
    """The bytes that a program without privileges could still write."""
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize


def disk_kept(path: Path) -> int:
    """The bytes that must remain free there: 1 %, at least 256 MiB, where chaosboard keeps its state; else 0."""
    if not _same_disk(path, _existing(state.root())):
        return 0
    found = os.statvfs(path)
    return max(int(found.f_blocks * found.f_frsize * DISK_SHARE), DISK_LEAST)


def refuse_disk(path: Path, size: float) -> None:
    """Raises Refused where `size` bytes more in `path` are more than its file system can miss."""
    free, kept = disk_free(path), disk_kept(path)
    if size > free:
        raise Refused(f"{about(size)} do not fit into {path}: {about(free)} are free.", "Take less.")
    if free - size < kept:
        raise Refused(
            f"{path} is on the file system on which chaosboard keeps its own state, so {about(kept)} of it "
            f"must remain free (1 %, at least 256 MiB); {about(free)} are free now.",
            "Take less, or choose a directory on another file system.",
        )
    if in_memory(path):
        refuse_memory(size)


def in_memory(path: Path) -> bool:
    """Whether what is written there takes memory."""
    return _mounted(path)[1] in IN_MEMORY


def _same_disk(one: Path, other: Path) -> bool:
    """Whether they share their space: also volumes of one btrfs do, which have numbers of their own."""
    device = _mounted(one)[0]
    shared = device.startswith("/dev/") and device == _mounted(other)[0]
    return shared or one.stat().st_dev == other.stat().st_dev


def _mounted(path: Path) -> tuple[str, str]:
    """What is mounted where `path` is, and the kind of file system: `/dev/vda`, `ext4`."""
    where = Path(os.path.realpath(path))
    holding = [p for p in psutil.disk_partitions(all=True) if where.is_relative_to(p.mountpoint)]
    if not holding:
        return "", ""
    deepest = max(len(p.mountpoint) for p in holding)
    found = [p for p in holding if len(p.mountpoint) == deepest][-1]  # the last of several covers the others
    return found.device, found.fstype


def about(size: float) -> str:
    """A size for people: `1,860 GiB`, `1.5 GiB`, `300 MiB`, `12 KiB`."""
    for unit, factor in (("GiB", 2.0**30), ("MiB", 2.0**20), ("KiB", 2.0**10)):
        if abs(size) >= factor:
            scaled = size / factor
            return f"{scaled:,.0f} {unit}" if abs(scaled) >= 100 else f"{scaled:.3g} {unit}"
    return show(max(size, 0), "size")


def _existing(path: Path) -> Path:
    """`path`, or the nearest directory above it that is there."""
    return path if path.exists() else _existing(path.parent)
