"""Nodes in network namespaces of their own, joined by a bridge in that of the bench: nothing of the host's is touched.

python -m bench.X     (which calls `alone` first: it starts itself anew in a namespace of its own)
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from engine.host import networks, nft

MARK = "CHAOSBOARD_BENCH_NETWORK"
HUB = "10.77.0.254"


@dataclass(frozen=True)
class Space:
    """A place of the lab, see `engine.lab.places`; its namespace is kept by a process that sleeps in it."""

    host: str
    holder: "subprocess.Popen[bytes]"

    @property
    def path(self) -> str:
        return f"/proc/{self.holder.pid}/ns/net"

    def command(self, argv: Sequence[str]) -> tuple[str, ...]:
        return ("nsenter", f"--net={self.path}", "--", *argv)


def alone(module: str) -> None:
    """Goes on in a network namespace of its own; ends the process where that cannot be had."""
    if why := networks.cannot_change() or nft.absent():
        sys.exit(f"{module} cuts networks, and cannot here: {why}")
    if MARK not in os.environ:
        os.environ[MARK] = "1"
        argv = ["unshare", "--net", "--", sys.executable, "-m", module, *sys.argv[1:]]
        os.execvp(argv[0], argv)
    _ip("link", "set", "lo", "up")
    _ip("link", "add", "br0", "type", "bridge")
    _ip("addr", "add", f"{HUB}/24", "dev", "br0")
    _ip("link", "set", "br0", "up")


@contextmanager
def spaces(count: int) -> Iterator[list[Space]]:
    """So many places at 10.77.0.1, 10.77.0.2, …, which the bench reaches from 10.77.0.254."""
    made: list[Space] = []
    try:
        for number in range(1, count + 1):
            made.append(_space(number))
        yield made
    finally:
        for space in made:
            space.holder.kill()
            space.holder.wait()


def _space(number: int) -> Space:
    argv = ["setpriv", "--pdeathsig=KILL", "unshare", "--net", "sleep", "infinity"]
    holder = subprocess.Popen(argv, start_new_session=True)
    space = Space(f"10.77.0.{number}", holder)
    while not networks.elsewhere(holder.pid):
        if holder.poll() is not None:
            raise SystemExit("a network namespace could not be made")
        time.sleep(0.01)
    peer = ("peer", "name", "eth0", "netns", str(holder.pid))
    _ip("link", "add", f"to-n{number}", "type", "veth", *peer)
    _ip("link", "set", f"to-n{number}", "master", "br0", "up")
    inside = space.command(["ip", "addr", "add", f"{space.host}/24", "dev", "eth0"])
    subprocess.run(inside, check=True)
    for device in ("lo", "eth0"):
        subprocess.run(space.command(["ip", "link", "set", device, "up"]), check=True)
    return space


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)
