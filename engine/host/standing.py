"""What the kernel holds of a process beside its program: read from one, given to the one that takes its place.

Limits, priority, processors, control groups, the order in which memory is taken from it and the mask of
its new files. A process that is started again gets them before its program begins, so that it is what its
owner made of it and not what the healer is.
"""

import contextlib
import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine import state
from engine.errors import EngineError
from engine.host import hierarchies

# What /proc/PID/limits calls them; prlimit(2) tells those of another user's process to few.
_LIMITS = {
    "Max cpu time": "CPU", "Max file size": "FSIZE", "Max data size": "DATA", "Max stack size": "STACK",
    "Max core file size": "CORE", "Max resident set": "RSS", "Max processes": "NPROC", "Max open files": "NOFILE",
    "Max locked memory": "MEMLOCK", "Max address space": "AS", "Max pending signals": "SIGPENDING",
    "Max msgqueue size": "MSGQUEUE", "Max nice priority": "NICE", "Max realtime priority": "RTPRIO",
    "Max realtime timeout": "RTTIME",
}  # fmt: skip
Standing = dict[str, Any]


def capture(pid: int) -> Standing:
    """What can be read of it; JSON. Nothing of what a fault of ours has changed for a while."""
    if sys.platform != "linux":
        return {}
    found: Standing = {}
    with contextlib.suppress(OSError):
        found["limits"] = _limits(pid) | _lowered(pid)
    with contextlib.suppress(OSError):
        found["priority"] = os.getpriority(os.PRIO_PROCESS, pid)
        found["processors"] = sorted(os.sched_getaffinity(pid))
        found["memory"] = Path(f"/proc/{pid}/oom_score_adj").read_text().strip()
        found["umask"] = _umask(pid)
    with contextlib.suppress(EngineError):
        places = hierarchies.places(pid)
        found["groups"] = [str(one) for one in places if not one.name.startswith(hierarchies.NAME)]
    return found


def _limits(pid: int) -> dict[str, list[int]]:
    """[soft, hard] by the name of the limit."""
    found = {}
    for line in Path(f"/proc/{pid}/limits").read_text().splitlines():
        title, *pair = line[:26].strip(), line[26:47].strip(), line[47:68].strip()
        if title in _LIMITS:
            found[_LIMITS[title]] = [resource.RLIM_INFINITY if n == "unlimited" else int(n) for n in pair]
    return found


def _lowered(pid: int) -> dict[str, list[int]]:
    """Its limit of open files as it was before a fault of ours lowered it, which is still there."""
    for path in (state.root() / "undo").glob("*.json"):
        record = state.read(path) or {}
        if record.get("fault") == "descriptors" and str(pid) in record["captured"].get("limits", {}):
            return {"NOFILE": record["captured"]["limits"][str(pid)]}
    return {}


def _umask(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("Umask:"):
            return int(line.split()[1], 8)
    return -1


def assuming(wanted: Standing, user: int | None, group: int | None) -> Callable[[], None] | None:
    """What a new process does before its program; None where it inherits all that is wanted from this one.

    It runs between fork and exec: nothing but calls of the kernel. What it may not do it leaves.
    """
    own = capture(os.getpid())
    differs = {key: value for key, value in wanted.items() if value != own.get(key)}
    limits = [(getattr(resource, f"RLIMIT_{name}"), pair) for name, pair in differs.get("limits", {}).items()]
    files = [
        f"{place}/cgroup.procs" for place in differs.get("groups", []) if place not in own.get("groups", [])
    ]
    if user is None and not differs:
        return None

    def assume() -> None:
        for file in files:
            _say(file, b"0")
        if "memory" in differs:
            _say("/proc/self/oom_score_adj", differs["memory"].encode())
        with contextlib.suppress(OSError):
            if "processors" in differs:
                os.sched_setaffinity(0, differs["processors"])
        with contextlib.suppress(OSError):
            if "priority" in differs:
                os.setpriority(os.PRIO_PROCESS, 0, differs["priority"])
        for number, pair in limits:
            with contextlib.suppress(OSError, ValueError):
                resource.setrlimit(number, pair)
        if user is not None and group is not None:
            os.setregid(group, group)
            os.setreuid(user, user)

    return assume


def _say(file: str, text: bytes) -> None:
    with contextlib.suppress(OSError):
        descriptor = os.open(file, os.O_WRONLY)
        os.write(descriptor, text)
        os.close(descriptor)
