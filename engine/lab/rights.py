"""Servers that refuse to run as root run as nobody, where we are root."""

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from engine.lab import CannotRun

NOBODY = 65534


def unprivileged(argv: Sequence[str]) -> tuple[str, ...]:
    """The command as it runs without root's rights; its process keeps its pid."""
    if not _rooted():
        return tuple(argv)
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise CannotRun("there is no setpriv, and it must not run as root; install the package util-linux")
    return (setpriv, f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--", *argv)


def give(path: Path) -> Path:
    """Hands `path` to whom `unprivileged` runs as; raises CannotRun where nobody may come there."""
    if not _rooted():
        return path
    for folder in path.parents:
        if not folder.stat().st_mode & 0o001:
            raise CannotRun(
                f"it must not run as root, and nobody else may enter {folder}; choose another folder"
            )
    os.chown(path, NOBODY, NOBODY)
    return path


def _rooted() -> bool:
    """Whether we are root and may become somebody else: not where a user namespace knows but one user."""
    if os.geteuid() != 0:
        return False
    with suppress(OSError):
        return sum(int(line.split()[2]) for line in Path("/proc/self/uid_map").read_text().splitlines()) > 1
    return True
