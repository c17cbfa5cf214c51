"""Mounts of this host that are ours: their source is `chaosboard-<mark>`."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

from engine.errors import EngineError

TRIES = 2.0  # seconds for whoever looks into a mount to leave it
_ADMIN = 21  # CAP_SYS_ADMIN
_OCTAL = re.compile(r"\\([0-7]{3})")


def may_mount() -> bool:
    """Whether this process may mount."""
    try:
        text = Path("/proc/self/status").read_text()
    except OSError:
        return False
    found = re.search(r"^CapEff:\s*([0-9a-f]+)", text, re.MULTILINE)
    return sys.platform == "linux" and found is not None and bool(int(found[1], 16) >> _ADMIN & 1)


def _table() -> list[tuple[str, Path]]:
    """Source and place of every mount, in the order in which they were mounted."""
    try:
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        before, _, after = line.partition(" - ")
        found.append((_plain(after.split()[1]), Path(_plain(before.split()[4]))))
    return found


def _plain(text: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), text)


def source(mark: str) -> str:
    return f"chaosboard-{mark}"


def ours(mark: str) -> list[Path]:
    """Where something of the fault `mark` is mounted."""
    return [place for what, place in _table() if what == source(mark)]


def within(directory: Path) -> list[Path]:
    """The mount points that are `directory` or below it."""
    return [place for _, place in _table() if place.is_relative_to(directory)]


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
