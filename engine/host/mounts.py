"""One file laid over another by a bind mount, in any mount namespace of this host: made, found, taken away.

`python -m engine.host.mounts bind PID SOURCE TARGET` and `unbind PID MARK` do it from within the namespace of
PID: they are processes of their own, because only a process with one thread may enter it.
"""

import ctypes
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple, NoReturn

from engine.errors import EngineError

_CAP_SYS_ADMIN = 21
_OPEN_TREE, _MOVE_MOUNT = 428, 429  # system calls since Linux 5.2, of one number on all machines
_CLONE, _CLOEXEC, _FROM_EMPTY_PATH = 1, os.O_CLOEXEC, 4
_AT_FDCWD, _DETACH, _NOFOLLOW, _NEW_MOUNTS = -100, 2, 8, 0x20000
_LINKS = 40  # symbolic links followed before giving up
_ROUNDS = 16  # mounts of one mark taken away in one namespace


class Mount(NamedTuple):
    """`source` is the path of what is mounted within its own file system, `device` what that one is of."""

    source: str
    target: str
    device: str = ""


def may() -> str:
    """Why this process may not mount; "" where it may."""
    if not sys.platform.startswith("linux"):
        return "Only Linux can lay a file over another one."
    status = Path("/proc/self/status").read_text()
    (rights,) = re.findall(r"^CapEff:\s*([0-9a-f]+)", status, re.MULTILINE) or ["0"]
    if int(rights, 16) >> _CAP_SYS_ADMIN & 1:
        return ""
    return "Laying a file over another one needs root (CAP_SYS_ADMIN), and chaosboard runs without it."


def table(pid: int) -> list[Mount]:
    """The mounts that `pid` sees, in the order in which they were made; none where it is gone."""
    try:
        lines = Path(f"/proc/{pid}/mountinfo").read_text().splitlines()
    except OSError:
        return []
    return [_mount(line) for line in lines]


def _mount(line: str) -> Mount:
    before, _, after = line.partition(" - ")
    fields = before.split(" ")
    return Mount(_plain(fields[3]), _plain(fields[4]), _plain(after.split(" ")[1]))


def _plain(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)


def carries(pid: int, mark: str) -> bool:
    return any(mark in mount.source for mount in table(pid))


def holders(mark: str) -> list[int]:
    """One pid of each mount namespace in which something with `mark` is mounted, ours first."""
    seen: dict[str, int] = {}
    for pid in [os.getpid(), *(int(name) for name in os.listdir("/proc") if name.isdecimal())]:
        try:
            seen.setdefault(os.readlink(f"/proc/{pid}/ns/mnt"), pid)
        except OSError:
            continue
    return [pid for pid in seen.values() if carries(pid, mark)]


def within(root: str, path: str) -> str:
    """`path` with its symbolic links followed as a process sees it whose root directory is `root`."""
    rest, done, links = path.split("/")[::-1], "", 0
    while rest:
        part = rest.pop()
        if part in ("", "."):
            continue
        if part == "..":
            done = os.path.dirname(done).rstrip("/")
        elif os.path.islink(f"{root}{done}/{part}") and (links := links + 1) <= _LINKS:
            goal = os.readlink(f"{root}{done}/{part}")
            done = "" if goal.startswith("/") else done
            rest += goal.split("/")[::-1]
        else:
            done = f"{done}/{part}"
    return done or "/"


def bind(pid: int, source: Path, target: str) -> None:
    """Lays `source` over `target`, as `pid` sees that one. Raises EngineError."""
    _helper("bind", str(pid), str(source), target)


def unbind(pid: int, mark: str) -> None:
    """Takes away what is mounted with `mark` in its path, where `pid` lives. Idempotent."""
    _helper("unbind", str(pid), mark)


def _helper(*words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "engine.host.mounts", *words], capture_output=True, text=True, timeout=30.0,
        cwd=Path(__file__).resolve().parents[2],
    )  # fmt: skip
    if done.returncode:
        raise EngineError(
            done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "It did not mount."
        )


def _bind(pid: int, source: str, target: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    tree = libc.syscall(_OPEN_TREE, _AT_FDCWD, source.encode(), _CLONE | _CLOEXEC)
    if tree < 0:
        _fail(f"{source} cannot be mounted")
    _enter(pid)
    if libc.syscall(_MOVE_MOUNT, tree, b"", _AT_FDCWD, target.encode(), _FROM_EMPTY_PATH) < 0:
        _fail(f"{source} cannot be laid over {target}")


def _unbind(pid: int, mark: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    found = table(pid)
    _enter(pid)
    for _ in range(_ROUNDS):
        ours = [i for i, mount in enumerate(found) if mark in mount.source]
        if not ours:
            return
        mount = found.pop(ours[-1])
        if any(other.target == mount.target for other in found[ours[-1] :]):
            raise EngineError(f"Something else was mounted over {mount.target}.", "Unmount that first.")
        if libc.umount2(mount.target.encode(), _DETACH | _NOFOLLOW) < 0:
            _fail(f"{mount.target} cannot be unmounted")


def _enter(pid: int) -> None:
    """From now on this process sees the files that `pid` sees."""
    root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    if os.readlink(f"/proc/{pid}/ns/mnt") != os.readlink("/proc/self/ns/mnt"):
        space = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        if ctypes.CDLL(None, use_errno=True).setns(space, _NEW_MOUNTS) < 0:
            _fail(f"The mount namespace of pid {pid} cannot be entered")
    os.fchdir(root)
    os.chroot(".")


def _fail(what: str) -> NoReturn:
    raise EngineError(f"{what}: {os.strerror(ctypes.get_errno())}.")


def main(words: list[str]) -> int:
    try:
        if words[0] == "bind":
            _bind(int(words[1]), words[2], words[3])
        else:
            _unbind(int(words[1]), words[2])
    except (EngineError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
