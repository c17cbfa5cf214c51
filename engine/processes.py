"""Processes of this host: which one is meant, and whether it may be hurt."""

import contextlib
import os
import signal
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from engine.errors import Refused, Unreachable
from engine.state import PART

SIGNALS = {s.name.removeprefix("SIG"): s for s in signal.Signals if s.name not in {"SIGSTOP", "SIGCONT"}}
HOST_LIFELINES = {"sshd", "systemd", "init", "dockerd", "containerd", "dbus-daemon", "systemd-logind"}
USUAL_PORTS = {  # of the servers that chaosboard itself may use, where their address names none
    "redis": 6379, "rediss": 6379, "postgres": 5432, "postgresql": 5432, "mysql": 3306, "mariadb": 3306,
}  # fmt: skip
Identity = dict[str, int]
GOES = {True: 5.0, False: 1.0}  # seconds for who was killed to be gone, and for who may not heed the signal
_LISTENS = "0A"  # the state of a listening socket in /proc/net/tcp
FRESH = 0.2  # seconds for which one look at the listening ports is good
_walking = threading.Lock()
_walked: tuple[float, dict[int, set[int]]] = (-1.0, {})


def identity(pid: int) -> Identity:
    """`pid` and the clock ticks at which it started: together never reused. Raises Unreachable."""
    try:
        if Path("/proc/self/stat").exists():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            return {"pid": pid, "started": int(fields[19])}
        return {"pid": pid, "started": int(psutil.Process(pid).create_time() * 1000)}
    except (FileNotFoundError, ProcessLookupError, psutil.NoSuchProcess):
        raise Unreachable(
            f"There is no process with pid {pid}.", "It may have ended; look it up again."
        ) from None


def status(one: Identity) -> str:
    """psutil's status word, or "gone": also for a zombie, and for a pid that another process has now."""
    try:
        if identity(one["pid"]) != one:
            return "gone"
        found = psutil.Process(one["pid"]).status()
    except (Unreachable, psutil.NoSuchProcess):
        return "gone"
    return "gone" if found in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD) else str(found)


def dying(one: Identity) -> bool:
    """Whether it is still there, and has been killed: SIGKILL waits for it, as /proc tells (proc_pid_status(5))."""
    if status(one) == "gone" or sys.platform != "linux":
        return False
    try:
        lines = Path(f"/proc/{one['pid']}/status").read_text().splitlines()
    except OSError:
        return False
    pending = (int(line.split()[1], 16) for line in lines if line.startswith(("SigPnd:", "ShdPnd:")))
    return any(mask >> (signal.SIGKILL - 1) & 1 for mask in pending)


def describe(pid: int) -> str:
    """`pid 4711, etcd --name n1`, cut to 80 characters."""
    try:
        line = " ".join(psutil.Process(pid).cmdline()) or psutil.Process(pid).name()
    except psutil.Error:
        return f"pid {pid}"
    program, _, rest = line.partition(" ")
    text = f"pid {pid}, {os.path.basename(program)} {rest}".strip()
    return text if len(text) <= 80 else f"{text[:79]}…"


def short(pid: int) -> str:
    """`pid 4711 (etcd)`."""
    try:
        return f"pid {pid} ({psutil.Process(pid).name()})"
    except psutil.Error:
        return f"pid {pid}"


def link(path: str) -> str:
    """Where a link of /proc leads; "" where that cannot be seen."""
    try:
        return os.readlink(path)
    except OSError:
        return ""


def tree(pid: int) -> list[Identity]:
    """The process and its descendants, itself first."""
    family = [identity(pid)]
    for child in _descendants(pid):
        with contextlib.suppress(Unreachable):
            family.append(identity(child))
    return family


def grown(family: list[Identity]) -> list[Identity]:
    """Those of a captured family that live, and all descendants that they have now."""
    found: dict[int, Identity] = {}
    for one in family:
        if status(one) != "gone":
            with contextlib.suppress(Unreachable):
                found.update({member["pid"]: member for member in tree(one["pid"])})
    return [one for one in found.values() if status(one) != "gone"]


def _descendants(pid: int) -> list[int]:
    if Path("/proc/self/task").exists() and Path(f"/proc/self/task/{os.getpid()}/children").exists():
        found, left = [], [pid]
        while left:
            now = left.pop()
            for table in Path(f"/proc/{now}/task").glob("*/children"):
                with contextlib.suppress(OSError):
                    children = [int(child) for child in table.read_text().split()]
                    found += children
                    left += children
        return found
    try:
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        raise Unreachable(f"There is no process with pid {pid}.") from None


def listeners(port: int) -> set[int]:
    """The pids that listen on a TCP port of this host (those that may be seen).

    To ask takes a walk over every process's files, so fifty nodes share one: what it found is good for
    FRESH seconds, as long as the process lives; what it did not find is looked for anew.
    """
    global _walked
    with _walking:
        if time.monotonic() - _walked[0] < FRESH and (found := _living(_walked[1].get(port, set()))):
            return found
        _walked = time.monotonic(), _walk() if sys.platform == "linux" else _ask()
        return set(_walked[1].get(port, set()))


def _living(pids: set[int]) -> set[int]:
    found = set()
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                found.add(pid)
    return found


def _ask() -> dict[int, set[int]]:
    found: dict[int, set[int]] = {}
    with contextlib.suppress(psutil.AccessDenied):
        for c in psutil.net_connections("tcp"):
            if c.status == psutil.CONN_LISTEN and c.laddr and c.pid:
                found.setdefault(c.laddr.port, set()).add(c.pid)
    return found


def _walk() -> dict[int, set[int]]:
    """As `_ask`, without decoding every connection that there is: five times as fast on a busy host."""
    ports: dict[str, int] = {}
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError), open(f"/proc/net/{table}") as lines:
            for fields in map(str.split, lines):
                if fields[3] == _LISTENS:
                    ports[f"socket:[{fields[9]}]"] = int(fields[1].rpartition(":")[2], 16)
    found: dict[int, set[int]] = {}
    for pid in psutil.pids():
        with contextlib.suppress(OSError), os.scandir(f"/proc/{pid}/fd") as files:
            for file in files:
                if port := ports.get(link(file.path)):
                    found.setdefault(port, set()).add(pid)
    return found


def holder(port: int) -> int | None:
    """The pid that listens on `port`; of a family, its eldest."""
    pids = listeners(port)
    for pid in sorted(pids):
        if not any(ancestor in pids for ancestor in ancestors(pid)):
            return pid
    return None


def ancestors(pid: int) -> list[int]:
    try:
        return [p.pid for p in psutil.Process(pid).parents()]
    except psutil.NoSuchProcess:
        return []


def matching(text: str) -> list[int]:
    """The pids whose command line contains `text`, but neither this process nor its ancestors."""
    own = {os.getpid(), *ancestors(os.getpid())}
    found = []
    for process in psutil.process_iter(["pid", "cmdline", "status"]):
        line = " ".join(process.info["cmdline"] or [])
        alive = process.info["status"] != psutil.STATUS_ZOMBIE
        if text in line and alive and process.pid not in own:
            found.append(process.pid)
    return found


def is_local(host: str) -> bool:
    if host in {"localhost", "0.0.0.0", "::", "::1"} or host.startswith("127."):
        return True
    return any(a.address == host for group in psutil.net_if_addrs().values() for a in group)


def refusal(pid: int) -> str:
    """Why `pid` must never be a victim; "" where it may be."""
    if pid <= 1:
        return f"pid {pid} is the host's first process; it is never hurt."
    if pid == os.getpid() or pid in ancestors(os.getpid()):
        return f"{describe(pid)} is chaosboard itself, or what started it; it never hurts itself."
    try:
        process = psutil.Process(pid)
        if process.name() in HOST_LIFELINES:
            return f"{describe(pid)} keeps this host reachable; it is never hurt."
        if not process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
            return f"pid {pid} belongs to the kernel; it is never hurt."
        if PART in process.environ():
            return f"{describe(pid)} is a part of chaosboard itself; it never hurts itself."
    except psutil.NoSuchProcess:
        return f"There is no process with pid {pid}. It may have ended; look it up again."
    except psutil.AccessDenied:
        return f"{describe(pid)} belongs to another user; chaosboard may not touch it."
    for name, host, port in own_services():
        if is_local(host) and pid in listeners(port):
            return f"{describe(pid)} serves chaosboard's own {name}; it never cuts the branch it sits on."
    return ""


def own_services() -> list[tuple[str, str, int]]:
    """(variable, host, port) of the servers without which chaosboard cannot work, as its environment names them."""
    found = []
    for name in ("REDIS_URL", "DATABASE_URL"):
        try:
            parts = urlsplit(os.environ.get(name, ""))
            port = parts.port or USUAL_PORTS.get(parts.scheme.partition("+")[0])
        except ValueError:
            continue
        if parts.hostname and port and not parts.hostname.startswith("%2f"):
            found.append((name, parts.hostname, port))
    return found


def send(one: Identity, which: signal.Signals) -> None:
    """Signals exactly this process; that it is gone already is no error."""
    if status(one) == "gone":
        return
    try:
        os.kill(one["pid"], which)
    except ProcessLookupError:
        return
    except PermissionError:
        raise Refused(
            f"{describe(one['pid'])} belongs to another user.", "Run chaosboard as that user."
        ) from None
