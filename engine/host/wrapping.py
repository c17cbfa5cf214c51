"""A node started again in other surroundings for the time of a fault, and as it was afterwards.

`carries` says of a pid whether it lives in the surroundings of that fault: it looks at the process, so
that whoever heals finds what was started, also where the one who started it died in between.
"""

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from engine import processes
from engine.capabilities import Captured
from engine.errors import EngineError, Refused, Unreachable
from engine.processes import Identity, describe, identity, status
from engine.target import Node, split_address
from engine.text import listed

LOOK = 0.05  # seconds between two looks at what is starting
POLL = 0.01  # seconds between two looks at what is ending
ENDS = 5.0  # seconds for what was killed to be gone
SOON = 2.0  # seconds that a healing leaves what it ends: all must be as it was 5 s after the lease
Carries = Callable[[int], bool]


def namespace(pid: int, kind: str) -> str:
    """`mnt:[4026531841]`: the namespace of that kind in which `pid` lives; "" where it cannot be seen."""
    try:
        return os.readlink(f"/proc/{pid}/ns/{kind}")
    except OSError:
        return ""


def elsewhere(pid: int) -> bool:
    """Whether `pid` sees other files or processes than we do, as in a container."""
    return any(namespace(pid, kind) != namespace(os.getpid(), kind) for kind in ("mnt", "pid"))


def refuse_elsewhere(pid: int) -> None:
    """Raises Refused for a process in a container: started again from here, it would be outside."""
    if elsewhere(pid):
        raise Refused(
            f"{describe(pid)} lives in a container, and cannot be started again in it from here.",
            "Choose a node that runs on the host itself.",
        )


def refuse_missing(programs: Sequence[str], purpose: str) -> None:
    """Raises Refused where one of the programs that go before a process is not on this host."""
    if missing := [name for name in programs if not shutil.which(name)]:
        raise Refused(f"{missing[0]} is missing, and it takes that to {purpose}.",
                      "Install the packages util-linux and mount.")  # fmt: skip


def ports(node: Node, family: Sequence[Identity]) -> list[int]:
    """The TCP ports on which the node must serve again: its own, or else all on which it listens.

    Others may be different ones after each start.
    """
    found = {port for those in listening(family).values() for port in those}
    own = split_address(node.own_address)[1]
    return [own] if own in found else sorted(found)


def listening(family: Sequence[Identity]) -> dict[int, set[int]]:
    """The pids of those that listen, with their TCP ports."""
    pids = {one["pid"] for one in family}
    found: dict[int, set[int]] = {}
    with contextlib.suppress(psutil.AccessDenied):
        for c in psutil.net_connections("tcp"):
            if c.status == psutil.CONN_LISTEN and c.laddr and c.pid in pids:
                found.setdefault(int(c.pid), set()).add(c.laddr.port)
    return found


def carrying(carries: Carries) -> list[int]:
    """All pids in the surroundings of the fault, the eldest first."""
    found = [pid for pid in psutil.pids() if pid != os.getpid() and carries(pid)]
    return sorted((pid for pid in found if _alive(pid)), key=lambda pid: (_age(pid), pid))


def restart(
    driver: Any, node: Node, captured: Captured, carries: Carries, *,
    environ: Mapping[str, str | None], before: Sequence[str], grace: float, within: float,
) -> None:  # fmt: skip
    """Stops the node and starts it in other surroundings; returns when it serves on `captured["ports"]`.

    Raises EngineError where it does not within `within` seconds.
    """
    driver.stop(captured, grace)
    driver.start_in(node, captured, environ, before)
    end = time.monotonic() + within
    while trouble := _trouble(driver, node, captured, carries):
        if time.monotonic() > end:
            raise EngineError(
                f"{node.name} was started again for this fault, but {trouble} after {within:g} s.",
                "It was put back as it was; it may not bear this fault.",
            )
        time.sleep(LOOK)


def _trouble(driver: Any, node: Node, captured: Captured, carries: Carries) -> str:
    if not driver.running(node, captured).gone:
        return "it does not run"
    found = set(carrying(carries))
    if not found:
        return "it runs as before, untouched,"
    wanted = captured["ports"]
    closed = [str(port) for port in wanted if not processes.listeners(port) & found]
    return f"it does not listen on port {listed(closed)}" if closed else ""


def end(driver: Any, node: Node, captured: Captured, carries: Carries, grace: float) -> None:
    """Ends what lives in the surroundings, and starts the node as it was where it does not run. Idempotent.

    It is asked to end, and killed after `grace` or SOON, whichever is shorter.
    """
    grace = min(grace, SOON)
    if carrying(carries):
        with contextlib.suppress(EngineError):
            now = driver.capture(node)
            if carries(driver.family(now)[0]["pid"]):
                driver.stop(now, grace)
    _end_all(carries, signal.SIGTERM, grace)
    _end_all(carries, signal.SIGKILL, ENDS)
    driver.start(node, captured)


def _end_all(carries: Carries, which: signal.Signals, patience: float) -> None:
    until = time.monotonic() + patience
    told: set[int] = set()
    while (found := carrying(carries)) and time.monotonic() < until:
        for pid in set(found) - told:
            with contextlib.suppress(Unreachable):
                processes.send(identity(pid), which)
        told |= set(found)
        time.sleep(POLL)


def _alive(pid: int) -> bool:
    try:
        return status(identity(pid)) != "gone"
    except Unreachable:
        return False


def _age(pid: int) -> int:
    try:
        return identity(pid)["started"]
    except Unreachable:
        return 0


def mapped(pid: int, text: str) -> bool:
    """Whether a file with `text` in its path is mapped into `pid`."""
    try:
        return text.encode() in Path(f"/proc/{pid}/maps").read_bytes()
    except OSError:
        return False
