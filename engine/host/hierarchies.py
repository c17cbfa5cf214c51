"""Where control groups are: the hierarchies of v1 and v2 as they are mounted, and who is in which group."""

import errno
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from engine.errors import EngineError, Refused

NAME = "chaosboard-"  # what the groups that we make are called, before the mark


@dataclass(frozen=True)
class Mount:
    """A hierarchy where it is mounted: the group `root` shows at `at`. In v2 a file tells the controllers."""

    at: str
    root: str
    version: int
    controllers: frozenset[str]


def mounts(mountinfo: str) -> list[Mount]:
    """The hierarchies that /proc/self/mountinfo tells of."""
    found = []
    for line in mountinfo.splitlines():
        place, _, system = line.partition(" - ")
        kind, *_, options = system.split(" ") or [""]
        if kind in ("cgroup", "cgroup2"):
            root, at = (text.replace("\\040", " ") for text in place.split(" ")[3:5])
            version = 2 if kind == "cgroup2" else 1
            found.append(Mount(at, root, version, frozenset(options.split(","))))
    return found


def paths(cgroup: str) -> dict[str, str]:
    """The group of each controller, from /proc/PID/cgroup; that of v2 is under ""."""
    found = {}
    for line in cgroup.splitlines():
        _, controllers, path = line.split(":", 2)
        found.update(dict.fromkeys(controllers.split(","), path))
    return found


def place(pid: int, controller: str) -> Path | None:
    """The directory of the group that counts `controller` for `pid`; None where it is not to be seen."""
    found = paths(read(Path(f"/proc/{pid}/cgroup")))
    for mount in mounted():
        path = found.get(controller if mount.version == 1 else "", "/..")
        if controller not in _controllers(mount) or path.startswith("/..") or mount.root.startswith("/.."):
            continue
        below = os.path.relpath(path, mount.root)
        if not below.startswith("..") and (group := Path(mount.at, below)).is_dir():
            return group
    return None


def places(pid: int) -> list[Path]:
    """The directories of all groups that `pid` is in, as far as they are to be seen."""
    found = {c: place(pid, c) for mount in mounted() for c in _controllers(mount)}
    return sorted({group for group in found.values() if group})


def base(group: Path) -> Path:
    """Where a group of ours is made for processes of `group`. Raises Refused where it cannot be."""
    at_the_top = not (group / "cgroup.type").exists()
    if not is_v2(group) or at_the_top:
        return group
    if not is_v2(group.parent):
        raise Refused(
            f"{group} holds processes and is the uppermost control group to be seen here, so none can be "
            "made beside it.", "Run chaosboard on the host itself, not in a container.",
        )  # fmt: skip
    return group.parent


def off(group: Path, controller: str) -> list[str]:
    """The groups of v2 down to `base` that do not hand `controller` to their children, the outermost first."""
    if not is_v2(group) or controller in read(group / "cgroup.subtree_control").split():
        return []
    has_it = controller in read(group / "cgroup.controllers").split()
    return [*([] if has_it else off(group.parent, controller)), str(group)]


def memory_left() -> int | None:
    """How much memory the groups of this process, but ours, still let it have; None where they do not say."""
    group = place(os.getpid(), "memory")
    rooms: list[int] = []
    while group and (found := _room(group)) is not None:
        rooms += [] if group.name.startswith(NAME) else [found]
        group = group.parent
    return min(rooms, default=None)


def _room(group: Path) -> int | None:
    for most, used in (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")):
        if (group / most).exists():
            text = read(group / most).strip()
            return sys.maxsize if text == "max" else int(text) - int(read(group / used))
    return None


def is_v2(group: Path) -> bool:
    return (group / "cgroup.controllers").exists()


def counted_by(group: Path) -> list[str]:
    """The controllers of a group of v2; none for one of v1, which has no such file."""
    return read(group / "cgroup.controllers").split() if is_v2(group) else []


def mounted() -> list[Mount]:
    return mounts(read(Path("/proc/self/mountinfo")))


def _controllers(mount: Mount) -> set[str]:
    if mount.version == 1:
        return set(mount.controllers)
    return set(read(Path(mount.at, "cgroup.controllers")).split())


def read(path: Path) -> str:
    """The text of a file of the kernel. Raises EngineError; "" where a process has ended meanwhile."""
    try:
        return path.read_text()
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ESRCH) and path.parts[:2] == ("/", "proc"):
            return ""  # the process has ended
        raise EngineError(f"{path} cannot be read: {error.strerror}.") from None
