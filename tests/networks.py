"""Networks for tests: namespaces of their own, joined by a bridge in another one; nothing of the host's is touched."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from engine.host import networks, nft
from tests.waiting import until

HUB = "10.77.0.254"


def need_networks() -> None:
    """Skips where namespaces or nftables cannot be had; with CI=true that is a failure."""
    why = networks.cannot_change() or nft.absent()
    if not why and not all(map(shutil.which, ("ip", "unshare", "nsenter"))):
        why = "ip, unshare and nsenter are missing"
    if why and os.environ.get("CI") == "true":
        pytest.fail(why)
    if why:
        pytest.skip(why)


@dataclass
class Space:
    """A network namespace, and a path by which it is entered."""

    name: str
    address: str
    path: str

    def ip(self, *arguments: str) -> None:
        run(self.path, "ip", *arguments)


@dataclass
class Network:
    """Nodes n1, n2, … at 10.77.0.1, 10.77.0.2, …, and a hub, where clients are, at 10.77.0.254."""

    hub: Space
    spaces: list[Space]
    holders: list["subprocess.Popen[bytes]"] = field(default_factory=list)  # a process waits in each of them
    started: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def start(self, space: Space, *command: str, **options: Any) -> "subprocess.Popen[bytes]":
        one: subprocess.Popen[bytes] = subprocess.Popen(
            entering(space.path, *command), start_new_session=True, **options
        )
        self.started.append(one)
        return one


def entering(path: str, *command: str) -> list[str]:
    return ["nsenter", f"--net={path}", "--", *command]


def run(path: str, *command: str) -> str:
    return subprocess.run(entering(path, *command), check=True, capture_output=True, text=True).stdout


def _holder() -> "subprocess.Popen[bytes]":
    """One that reads what nobody writes: so it ends with its maker, however that ends."""
    holder = subprocess.Popen(
        ["unshare", "--net", "cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    until(lambda: networks.elsewhere(holder.pid))
    return holder


def space_of(name: str, address: str, pid: int) -> Space:
    """That of a process."""
    return Space(name, address, f"/proc/{pid}/ns/net")


@contextlib.contextmanager
def network(nodes: int) -> Iterator[Network]:
    holders: list[subprocess.Popen[bytes]] = []
    try:
        holders.append(_holder())
        hub = space_of("hub", HUB, holders[0].pid)
        hub.ip("link", "set", "lo", "up")
        hub.ip("link", "add", "br0", "type", "bridge")
        hub.ip("addr", "add", f"{HUB}/24", "dev", "br0")
        hub.ip("link", "set", "br0", "up")
        found = Network(hub, [], holders)
        for i in range(1, nodes + 1):
            holders.append(_holder())
            found.spaces.append(space_of(f"n{i}", f"10.77.0.{i}", holders[-1].pid))
            join(hub, found.spaces[-1], holders[-1].pid)
        try:
            yield found
        finally:
            for one in found.started:
                _end(one)
    finally:
        for holder in holders:
            _end(holder)


def join(hub: Space, space: Space, pid: int) -> None:
    """Lays a cable from the hub to the namespace, in which `pid` is."""
    hub.ip(
        "link",
        "add",
        f"to-{space.name}",
        "type",
        "veth",
        "peer",
        "name",
        "eth0",
        "netns",
        str(pid),
    )
    hub.ip("link", "set", f"to-{space.name}", "master", "br0", "up")
    space.ip("addr", "add", f"{space.address}/24", "dev", "eth0")
    space.ip("link", "set", "lo", "up")
    space.ip("link", "set", "eth0", "up")


def _end(one: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(one.pid, signal.SIGKILL)
    one.wait()


def reaches(sender: Space, receiver: Space, port: int = 7, within: float = 0.25) -> bool:
    """Whether a datagram that `sender` sends comes to `receiver`."""
    told = os.urandom(8)
    with (
        networks.inside(receiver.path, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as ear,
        networks.inside(sender.path, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as mouth,
    ):
        ear.bind((receiver.address, port))
        ear.settimeout(within)
        with contextlib.suppress(PermissionError):  # the rule is at the sender: the kernel tells it
            mouth.sendto(told, (receiver.address, port))
        try:
            return ear.recv(64) == told
        except TimeoutError:
            return False


def seen(spaces: Sequence[Space]) -> set[tuple[str, str]]:
    """The ordered pairs (from, to) of spaces between which nothing comes through."""
    return {(a.name, b.name) for a in spaces for b in spaces if a is not b and not reaches(a, b, within=0.1)}


def tables(space: Space) -> str:
    return networks.inside(space.path, lambda: nft.order("list ruleset"))
