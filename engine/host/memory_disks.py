"""Small disks in memory, mounted over directories: their device is called `chaosboard-<mark>`."""

import os
import subprocess
import time
from pathlib import Path

from engine.errors import EngineError
from engine.host import mounts

TRIES = 2.0  # seconds for whoever looks into a mount to leave it


def source(mark: str) -> str:
    return f"chaosboard-{mark}"


def ours(mark: str) -> list[Path]:
    """Where something of the fault `mark` is mounted."""
    return [Path(m.target) for m in mounts.table(os.getpid()) if m.device == source(mark)]


def within(directory: Path) -> list[Path]:
    """The mount points that are `directory` or below it."""
    places = [Path(mount.target) for mount in mounts.table(os.getpid())]
    return [place for place in places if place.is_relative_to(directory)]


def mount_memory(place: Path, mark: str, size: int) -> None:
    """Mounts a filesystem in memory of `size` bytes."""
    _do("mount", "-t", "tmpfs", "-o", f"size={size}", source(mark), str(place))


def resize(place: Path, size: int) -> None:
    _do("mount", "-o", f"remount,size={size}", str(place))


def bind(place: Path, over: Path) -> None:
    _do("mount", "--bind", str(place), str(over))


def unmount(mark: str) -> None:
    """Unmounts all that is of the fault `mark`. Raises EngineError where somebody will not leave it."""
    end = time.monotonic() + TRIES
    while places := ours(mark):
        try:
            _do("umount", str(places[-1]))
        except EngineError:
            if time.monotonic() > end and places[-1] in ours(mark):
                raise
            time.sleep(0.05)


def used(place: Path) -> int:
    """Bytes that are taken of the filesystem at `place`."""
    seen = os.statvfs(place)
    return (seen.f_blocks - seen.f_bfree) * seen.f_frsize


def _do(*argv: str) -> None:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    except OSError as error:
        raise EngineError(f"{argv[0]} cannot be run: {error.strerror}.") from None
    if done.returncode:
        raise EngineError(f"{' '.join(argv)}: {(done.stderr.strip().splitlines() or ['it failed'])[-1]}")
