"""Time namespaces: a process started with a monotonic clock of its own. The kernel has no other way.

In the same breath it gets a mount namespace of its own, in which a file with the mark of the fault is
laid over itself: so it is known again, whatever it does to its environment or its title.
"""

import os
import shutil
import time
from pathlib import Path

from engine import state
from engine.errors import Refused
from engine.host import mounts, wrapping

_PROGRAMS = ("unshare", "nsenter", "mount", "sh")
# A kernel before 6.3 moves only children, so nsenter follows into the namespace that is made for them.
_SCRIPT = '"$1" --bind "$2" "$2" && shift 2 && exec "$@"'


def refuse(offset: float) -> None:
    """Raises Refused where a process cannot get a monotonic clock that is `offset` seconds off."""
    if not os.path.exists("/proc/self/ns/time"):
        raise Refused(
            "This kernel has no time namespaces, so a monotonic clock cannot be set.", "It takes Linux 5.6."
        )
    if mounts.may():
        raise Refused("Setting a monotonic clock needs root (CAP_SYS_ADMIN), and chaosboard runs without it.")
    wrapping.refuse_missing(_PROGRAMS, "set a monotonic clock")
    if time.monotonic() + offset < 1:
        raise Refused(
            f"A monotonic clock cannot be set before its beginning; it shows {time.monotonic():.0f} s now.",
            "Choose a smaller offset, or set it ahead.",
        )


def file(mark: str) -> Path:
    return state.root() / "clock" / f"{mark}.space"


def before(mark: str, offset: float) -> list[str]:
    """The command that goes before that of the process: `offset` is in whole seconds."""
    file(mark).parent.mkdir(parents=True, exist_ok=True)
    file(mark).touch()
    unshare, nsenter, mount, sh = (shutil.which(name) or name for name in _PROGRAMS)
    seconds = str(round(offset))
    return [
        unshare, "--mount", "--propagation", "slave",
        "--time", "--monotonic", seconds, "--boottime", seconds,
        nsenter, "--no-fork", "--time=/proc/self/ns/time_for_children",
        sh, "-c", _SCRIPT, "sh", mount, str(file(mark)),
    ]  # fmt: skip


def carries(pid: int, mark: str) -> bool:
    """Whether `pid` lives in the namespaces of the fault."""
    own = wrapping.namespace(os.getpid(), "mnt")
    return wrapping.namespace(pid, "mnt") not in ("", own) and mounts.carries(pid, mark)


def moved(pid: int, than: str) -> bool:
    """Whether `pid` has another time namespace than `than`."""
    return wrapping.namespace(pid, "time") not in ("", than)
