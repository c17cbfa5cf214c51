"""Namespaces of Linux: new networks, entering them, and a user namespace where there is no root.

Python has `os.setns` and `os.unshare` since 3.12 only, hence libc. Both change the calling thread; a user
namespace can be entered by a process of one thread only.
"""

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Collection, Iterator
from pathlib import Path

import psutil

from engine.errors import EngineError, Refused
from engine.processes import Identity, identity, status

_NEWUSER, _NEWNET = 0x10000000, 0x40000000
_OWN = "/proc/thread-self/ns/net"
_SWITCHES = {  # files by which a machine forbids user namespaces, what they then hold, and why
    "/proc/sys/kernel/unprivileged_userns_clone": ("0", "sysctl kernel.unprivileged_userns_clone=1"),
    "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": (
        "1", "sysctl kernel.apparmor_restrict_unprivileged_userns=0",
    ),
    "/proc/sys/user/max_user_namespaces": ("0", "sysctl user.max_user_namespaces=10000"),
}  # fmt: skip
ENDS = 5.0  # seconds for what was killed to be gone


def why_not(root: bool) -> str:
    """Why no network namespace can be made here, with root or without it; "" where one can."""
    if not os.path.exists(_OWN):
        return "This system has no network namespaces; the lab's network needs Linux."
    if missing := [name for name in ("nsenter", "unshare") if shutil.which(name) is None]:
        return f"There is no {missing[0]} on this machine; install the package util-linux."
    tried = subprocess.run(
        ["unshare", *([] if root else ["--user", "--map-root-user"]), "--net", "true"],
        capture_output=True, text=True,
    )  # fmt: skip
    return "" if tried.returncode == 0 else _forbidden(root, tried.stderr.strip())


def _forbidden(root: bool, said: str) -> str:
    if root:
        return f"This machine lets chaosboard make no network namespace ({said}); a container may forbid it."
    for file, (value, remedy) in _SWITCHES.items():
        with contextlib.suppress(OSError):
            if Path(file).read_text().strip() == value:
                return f"This machine forbids user namespaces without root ({file} is {value}): {remedy}."
    return f"This machine forbids user namespaces without root ({said})."


def new_network() -> int:
    """A descriptor of a new network namespace; the thread stays where it is."""
    own = os.open(_OWN, os.O_RDONLY)
    try:
        _call("unshare", _NEWNET)
        with contextlib.suppress(OSError):  # neighbour discovery would only be noise
            Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").write_text("1")
        return os.open(_OWN, os.O_RDONLY)
    finally:
        _call("setns", own, _NEWNET)
        os.close(own)


def own_network() -> int:
    """A descriptor of the network namespace in which this thread is."""
    return os.open(_OWN, os.O_RDONLY)


def enter(network: int) -> None:
    """Moves this thread into the network namespace of a descriptor."""
    _call("setns", network, _NEWNET)


@contextlib.contextmanager
def inside(network: int) -> Iterator[None]:
    own = own_network()
    _call("setns", network, _NEWNET)
    try:
        yield
    finally:
        _call("setns", own, _NEWNET)
        os.close(own)


def become_root_of_my_own() -> None:
    """Moves this process into a new user namespace, in which it is root and owns what it makes.

    Its network is a new and empty one too: into that of the host it could not come back.
    """
    uid, gid = os.geteuid(), os.getegid()
    try:
        _call("unshare", _NEWUSER | _NEWNET)
    except OSError:
        raise Refused(why_not(root=False) or "This process cannot enter a user namespace.") from None
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
    Path("/proc/self/gid_map").write_text(f"0 {gid} 1")


def number(network: int) -> int:
    """By which the machine knows the namespace of a descriptor, as in /proc/PID/ns/net."""
    return os.fstat(network).st_ino


def inhabitants(networks: Collection[int]) -> list[Identity]:
    """The processes that live in network namespaces of these numbers (those that may be seen)."""
    names, found = {f"net:[{one}]" for one in networks}, []
    for pid in psutil.pids():
        with contextlib.suppress(OSError, EngineError):
            if os.readlink(f"/proc/{pid}/ns/net") in names:
                found.append(identity(pid))
    return found


def empty(networks: Collection[int], but: int = 0) -> list[Identity]:
    """Kills all that lives in these namespaces, except this process and `but`; returns what would not go."""
    end, kept = time.monotonic() + ENDS, {os.getpid(), but}
    networks = set(networks) - _hosts()
    while found := [one for one in inhabitants(networks) if one["pid"] not in kept and _alive(one)]:
        for one in found:
            with contextlib.suppress(OSError):
                os.kill(one["pid"], signal.SIGKILL)
        if time.monotonic() > end:
            break
        time.sleep(0.01)
    return found


def _hosts() -> set[int]:
    """The number of the namespace in which the host's first process lives: never to be emptied."""
    with contextlib.suppress(OSError):
        return {os.stat("/proc/1/ns/net").st_ino}
    return set()


def _alive(one: Identity) -> bool:
    return status(one) != "gone"


def _call(name: str, *arguments: int) -> None:
    """One call of libc; raises OSError."""
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
