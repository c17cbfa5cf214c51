"""The packets of a node, disturbed by the kernel of this host: nftables, and traffic control."""

import ipaddress
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from engine import processes
from engine.capabilities import Captured, Family, Pids, ReadBack, Shaping
from engine.drivers import Driver, control
from engine.drivers._kernel_rules import Place, rules
from engine.errors import EngineError, Refused, Unreachable
from engine.host import networks, nft
from engine.target import Node, split_address
from engine.text import listed


@dataclass(frozen=True)
class Kernel(Driver):
    """Comes with a node whose processes are known on this host: what it exchanges with its peers or with
    clients is cut or lost in the kernel, in the node's own network namespace or by its ports."""

    chosen: ClassVar[bool] = False
    beside: ClassVar[tuple[str, ...]] = ("process", "systemd", "docker")

    def cannot(self, capability: type) -> str:
        if why := networks.cannot_change() or nft.absent():
            return why
        return _no_netem() if capability is Shaping else ""

    def refusal(self, node: Node) -> str:
        own = control(node)
        return own.refusal(node) if own else "Nothing controls it."

    def victim(self, node: Node) -> str:
        try:
            pids = _pids(node)
        except EngineError:
            return ""
        return f"the packets of {processes.describe(pids[0])}"

    # Packets

    def capture_packets(self, node: Node, peers: Sequence[Node]) -> Captured:
        """Raises Refused where it cannot be told apart from others, Unreachable where it does not run."""
        pids = _pids(node)
        namespace, place = networks.number(pids[0]), f"/proc/{pids[0]}/ns/net"
        here = networks.addresses(place)
        theirs = {peer.name: _addresses(peer) for peer in peers}
        shared = namespace == networks.number() or any(_within(peer, namespace) for peer in peers)
        return {
            "namespace": namespace, "pid": processes.identity(pids[0]), "name": node.name, "shared": shared,
            "mine": _resolved(node) if shared else here, "peers": theirs,
            "ports": networks.listening(pids, pids[0]) if shared else [], "port": split_address(node.address)[1],
            "spared": networks.lifelines(pids[0]),
        }  # fmt: skip

    def disturb_packets(self, captured: Captured, mark: str, how: dict[str, Any], until: float) -> None:
        body = rules(_place(captured, how), how, until - time.time())
        if not (entry := networks.path(captured["namespace"])):
            raise Unreachable(f"The network of {captured['name']} is gone.", "It may have ended.")
        networks.inside(entry, lambda: nft.make(mark, body))

    def undisturb_packets(self, captured: Captured, mark: str) -> None:
        if entry := networks.path(captured["namespace"]):
            networks.inside(entry, lambda: nft.drop(mark))

    def undisturbed(self, captured: Captured, mark: str) -> ReadBack:
        name = captured["name"]
        if not (entry := networks.path(captured["namespace"])):
            return ReadBack(True, f"the network of {name} is gone, and its rules with it")
        found = networks.inside(entry, lambda: nft.read(mark))
        if found is not None and not nft.is_ours(found, mark):
            return ReadBack(None, f"nftables has a table {nft.table_of(mark)} that chaosboard did not make")
        if found is not None:
            return ReadBack(False, f"nftables still has the table {nft.table_of(mark)} for {name}")
        return ReadBack(True, "nftables has no rule of it any more")


def _no_netem() -> str:
    return (
        "netem is missing in this kernel, so nothing is delayed, doubled or changed in it; the link proxy (give "
        "the node an upstream address) or the switch of the lab does that instead."
    )


def _pids(node: Node) -> list[int]:
    """The processes of the node, the main one first. Raises Refused or Unreachable."""
    own = control(node)
    if isinstance(own, Family):
        found: list[int] = [one["pid"] for one in own.family(own.capture(node))]
    else:
        found = own.pids(node) if isinstance(own, Pids) else []
    if not found:
        raise Unreachable(f"No process of {node.name} is seen on this host.", "Is it running?")
    return found


def _within(peer: Node, namespace: int) -> bool:
    try:
        return networks.number(_pids(peer)[0]) == namespace
    except EngineError:
        return False


def _addresses(peer: Node) -> list[str]:
    """Those from which the peer sends: all of its own network where it has one, else that of its address."""
    try:
        pid = _pids(peer)[0]
        if networks.number(pid) != networks.number():
            return networks.addresses(f"/proc/{pid}/ns/net") or _resolved(peer)
    except EngineError:
        pass  # it is on another host, or down: its address tells
    return _resolved(peer)


def _resolved(node: Node) -> list[str]:
    host, _ = split_address(node.upstream or node.address)
    try:
        return sorted({str(found[4][0]) for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)})
    except OSError as error:
        raise Unreachable(f"The address of {node.name}, {host}, is not known: {error.strerror}.") from None


def _place(captured: Captured, how: dict[str, Any]) -> Place:
    """Raises Refused where packets do not tell whether they are the node's, a peer's or a client's."""
    theirs = sorted({a for found in captured["peers"].values() for a in found})
    if not captured["shared"]:
        return Place(tuple(theirs), tuple(captured["mine"]), (), tuple(captured["spared"]), False)
    between, mine = how.get("between", "peers"), captured["mine"]
    alike = [a for a in theirs if a in mine or ipaddress.ip_address(a).is_loopback]
    if alike and between == "peers":
        raise Refused(
            f"{captured['name']} and its peers share the network of one host, at {listed(sorted({*mine, *alike}))}: "
            "what they send one another cannot be told apart.",
            "Give each a network namespace of its own, as the lab does, or put link proxies between them.",
        )
    ports = [captured["port"]] if between == "clients" else captured["ports"]
    peers = () if alike else tuple(theirs)  # on one host, clients are known by the port that they use
    return Place(peers, tuple(mine), tuple(ports), tuple(captured["spared"]), True)
