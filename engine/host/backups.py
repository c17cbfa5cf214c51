"""A node's data directory, hurt without ever writing to it: a copy takes its place, and the original comes back.

Beside the directory `data` stands `.data.chaosboard-<mark>` while the fault lasts, on the same filesystem:

    copy       what is to take the directory's place: being made, then being damaged
    kept       what the directory is to be afterwards: the original, or what was taken over from elsewhere
    manifest   what the original held, with digests
    taken-…    what is being taken over from elsewhere
    lived      says that the node ran on what is in its directory when that was replaced
    damaged    what the directory held when the original was put back
    refused    the original, where the node lived on what was damaged and does not on what it had before

Each step is one rename or can be done again, so that another process can go on after a kill at any
instant: where there is no `kept`, the directory itself was never touched.
"""

import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import EngineError
from engine.host import memory_disks

ENDS = 10.0  # seconds for a copy whose maker was killed to come to its end
Manifest = dict[str, list[Any]]


@dataclass(frozen=True)
class Aside:
    """The folder beside `directory` that belongs to the fault `mark`."""

    directory: Path
    mark: str

    @property
    def folder(self) -> Path:
        return self.directory.with_name(f".{self.directory.name}.chaosboard-{self.mark}")

    @property
    def copy(self) -> Path:
        return self.folder / "copy"

    @property
    def kept(self) -> Path:
        return self.folder / "kept"

    @property
    def disk(self) -> Path:
        return self.folder / "disk"

    @property
    def lived(self) -> Path:
        return self.folder / "lived"

    @property
    def damaged(self) -> Path:
        return self.folder / "damaged"

    @property
    def refused(self) -> Path:
        return self.folder / "refused"

    @property
    def _leaving(self) -> Path:
        return self.folder.with_name(f"{self.folder.name}.gone")

    def left(self) -> bool:
        """Whether anything of the fault stands beside the directory."""
        return os.path.lexists(self.folder) or os.path.lexists(self._leaving)

    def begin(self) -> None:
        self.folder.mkdir(mode=0o700)

    def duplicate(self) -> None:
        """Makes `copy`, with owners, modes and times; shares blocks where the filesystem can."""
        _copy(self.directory, self.copy)
        with open(self.folder / "manifest", "x") as file:  # fails where the fault was healed meanwhile
            json.dump(manifest(self.directory), file)

    def swap(self) -> None:
        """The copy takes the directory's place; the original is kept, as it is."""
        os.rename(self.directory, self.kept)
        os.rename(self.copy, self.directory)

    def take_over(self) -> None:
        """What the directory shows now, from another filesystem, is what it is to hold afterwards."""
        for earlier in (self.kept, *self.folder.glob("taken-*")):
            shutil.rmtree(earlier, ignore_errors=True)
        taken = self.folder / f"taken-{time.time_ns()}"  # somebody who was killed may be copying still
        fill(self.directory, taken)
        if differing(manifest(self.directory), manifest(taken, sync=True)):
            raise EngineError(f"{self.directory} changed while it was copied.", "Is its node stopped?")
        os.rename(taken, self.kept)

    def restore(self) -> list[str]:
        """Puts back what was kept, where something was; gives the files that changed while it was kept."""
        if not self.kept.exists():
            return []
        before = _read(self.folder / "manifest")
        changed = differing(before, manifest(self.kept)) if before is not None else []
        if os.path.lexists(self.directory):
            self._replace(self.damaged)
        os.rename(self.kept, self.directory)
        return changed

    def fall_back(self) -> None:
        """The node goes on with what it lived on, instead of with the original."""
        if not self.refused.exists():
            os.rename(self.directory, self.refused)
        if self.damaged.exists() and not os.path.lexists(self.directory):
            os.rename(self.damaged, self.directory)

    def insist(self) -> None:
        """The original is put back all the same."""
        if os.path.lexists(self.directory):
            self._replace(self.damaged)
        os.rename(self.refused, self.directory)

    def _replace(self, to: Path) -> None:
        """Moves what is in the directory's place to `to`, and what was there out of the way."""
        if to.exists():
            os.rename(to, f"{to}-{time.time_ns()}")
        os.rename(self.directory, to)

    def remove(self) -> None:
        """Removes all that stands beside the directory, at once for whoever still works in it."""
        end = time.monotonic() + ENDS
        while self.left():
            if inside := [p for p in memory_disks.ours(self.mark) if p.is_relative_to(self.folder)]:
                raise EngineError(f"{inside[0]} is still mounted.", f"Unmount it: umount {inside[0]}")
            if os.path.lexists(self._leaving):
                shutil.rmtree(self._leaving, ignore_errors=True)
            if not os.path.lexists(self._leaving) and os.path.lexists(self.folder):
                os.rename(self.folder, self._leaving)
            if self.left() and time.monotonic() > end:
                raise EngineError(f"{self._leaving} cannot be removed.", "Remove it by hand.")


def _read(file: Path) -> Manifest | None:
    try:
        return dict(json.loads(file.read_bytes()))
    except (OSError, ValueError):  # none was written, or a power cut took its end
        return None


def fill(source: Path, to: Path) -> None:
    """As a copy, in which every byte has its place on the disk: holes too, as files made large beforehand."""
    _copy(source, to, "--sparse=never")


def _copy(source: Path, to: Path, *flags: str) -> None:
    """Copies the content and the looks of a directory into a new or an empty one. Raises EngineError."""
    to.mkdir(exist_ok=True)
    to.chmod(0o700)  # cp takes away no bit that the folder around it, or a mount, gave it
    linux = ("--reflink=auto", *flags) if sys.platform == "linux" else ()
    _run("cp", "-a", *linux, f"{source}/.", f"{to}/", what=f"{source} could not be copied")


def _run(*argv: str, what: str) -> None:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    except OSError as error:
        raise EngineError(f"{what}: {argv[0]} cannot be run: {error.strerror}.") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"{argv[0]} ended with {done.returncode}"]
        raise EngineError(f"{what}: {lines[-1]}.")


def manifest(directory: Path, *, sync: bool = False) -> Manifest:
    """Each path under `directory`: kind and mode, owner, group, time of change (ns), and digest or link."""
    found: Manifest = {".": _entry(str(directory), sync)}
    for folder, folders, files in os.walk(directory):
        for name in (*folders, *files):
            path = os.path.join(folder, name)
            found[os.path.relpath(path, directory)] = _entry(path, sync)
    return found


def _entry(path: str, sync: bool) -> list[Any]:
    seen = os.lstat(path)
    content = ""
    if stat.S_ISLNK(seen.st_mode):
        content = os.readlink(path)
    elif stat.S_ISREG(seen.st_mode):
        with open(path, "rb") as file:
            content = hashlib.file_digest(file, "blake2b").hexdigest()
            if sync:
                os.fsync(file.fileno())
    return [seen.st_mode, seen.st_uid, seen.st_gid, seen.st_mtime_ns, content]


def differing(one: Manifest, other: Manifest) -> list[str]:
    """The paths that differ or are only in one."""
    return sorted(path for path in {*one, *other} if one.get(path) != other.get(path))
