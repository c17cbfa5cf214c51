"""Reads the machine itself for what a fault may have left: never chaosboard's records."""

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from engine.processes import listeners
from engine.state import MARK

OURS = "chaosboard-"  # how everything is called that a fault makes outside the state directory
CGROUPS = Path("/sys/fs/cgroup")
PRELOADED = ("faketime",)


def traces(state: Path, folders: Iterable[Path] = ()) -> list[str]:
    """What a fault of the board at `state` has left on this host: processes, groups, mounts, files."""
    return [
        *(f"pid {pid} still does harm" for pid in _actors(state)),
        *(f"the control group {path} is left" for path in _groups() if _known(path.name, state)),
        *(f"the mount {line} is left" for line in _mounts("self", state)),
        *(f"the file {path} is left" for folder in folders for path in folder.rglob(f"{OURS}*")),
    ]


def _actors(state: Path) -> Iterator[int]:
    for pid in psutil.pids():
        with suppress(OSError, psutil.Error):
            environ = Path(f"/proc/{pid}/environ").read_bytes()
            mine = f"{MARK}=".encode() in environ and str(state).encode() in environ
            if mine and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                yield pid


def _known(name: str, state: Path) -> bool:
    """Whether it is of this board: others may be tested on this host at the same time."""
    mark = name.removeprefix(OURS)
    return any((state / "undo" / folder / f"{mark}.json").exists() for folder in ("", "done"))


def _groups() -> Iterator[Path]:
    for folder, names, _ in os.walk(CGROUPS):
        yield from (Path(folder, name) for name in names if name.startswith(OURS))


def _mounts(pid: int | str, state: Path) -> list[str]:
    """Those below the folder of `state`: other boards may be tested on this host at the same time."""
    lines = Path(f"/proc/{pid}/mountinfo").read_text().splitlines()
    mine = [line for line in lines if f"{state.parent}/" in line]
    return [line.split()[4] for line in mine if OURS in line or f"{state}/" in line]


@dataclass(frozen=True)
class Usual:
    """How a server's main process is when nobody hurts it."""

    limits: tuple[str, ...]
    priority: int
    groups: frozenset[str]
    preloaded: bool

    @classmethod
    def of(cls, pid: int) -> "Usual":
        groups = frozenset(Path(f"/proc/{pid}/cgroup").read_text().splitlines())
        maps = Path(f"/proc/{pid}/maps").read_text()
        limits = tuple(Path(f"/proc/{pid}/limits").read_text().splitlines())
        priority = os.getpriority(os.PRIO_PROCESS, pid)
        return cls(limits, priority, groups, any(w in maps for w in PRELOADED))

    def changed(self, pid: int) -> list[str]:
        now = Usual.of(pid)
        found = []
        for line in set(now.limits) - set(self.limits):
            found.append(f"pid {pid} has other limits: {line}")
        if now.priority != self.priority:
            found.append(f"pid {pid} runs with priority {now.priority}, it was {self.priority}")
        if now.groups != self.groups:
            found.append(f"pid {pid} is in other control groups: {sorted(now.groups - self.groups)}")
        if now.preloaded != self.preloaded:
            found.append(f"pid {pid} runs with a changed clock")
        return found


def _tell_of_nobody(port: int) -> None:
    """Prints the tables in which nobody listens on `port`, and who does a moment later. It counts all the same."""
    tables = [Path(f"/proc/net/{table}").read_text() for table in ("tcp", "tcp6")]
    time.sleep(1.0)  # not to wait for it: only to tell an overlooked listener from none
    for pid in listeners(port):
        with suppress(OSError, psutil.Error):
            age = time.time() - psutil.Process(pid).create_time()
            sockets = [os.readlink(file.path) for file in os.scandir(f"/proc/{pid}/fd")]
            print(
                f"      a second later: pid {pid}, {age:.1f} s old, listens on {port}, {sockets}", flush=True
            )
    print(*(line for table in tables for line in table.splitlines() if " 0A " in line), sep="\n", flush=True)


def wrong_with(port: int, usual: Usual | None, state: Path) -> list[str]:
    """What is not as usual with the server on `port`; "does not run" where nobody listens."""
    pids = listeners(port)
    if not pids:
        _tell_of_nobody(port)
    found = [] if len(pids) == 1 else [f"runs {len(pids)} times" if pids else "does not run"]
    for pid in pids:
        with suppress(psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
            if psutil.Process(pid).status() == psutil.STATUS_STOPPED:
                found.append(f"pid {pid} is stopped")
            found += [f"pid {pid} has the mount {mount} of ours" for mount in _mounts(pid, state)]
            found += usual.changed(pid) if usual else []
    return found
