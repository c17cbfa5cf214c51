"""The packets of a node, disturbed by the kernel of this host: nftables, and traffic control."""

import contextlib
import ipaddress
import socket
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from engine import processes
from engine.capabilities import Captured, Family, Pids, ReadBack, Shaping
from engine.drivers import Driver, control
from engine.drivers._kernel_rules import SHAPED, Place, Shaper, rules
from engine.errors import EngineError, Refused, Unreachable
from engine.host import networks, nft, shaping
from engine.target import Node, split_address
from engine.text import listed


@dataclass(frozen=True)
class Kernel(Driver):
    """Comes with a node whose processes are known on this host: what it exchanges with its peers or with
    clients is cut or lost in the kernel, in the node's own network namespace or by its ports."""

    chosen: ClassVar[bool] = False
    beside: ClassVar[tuple[str, ...]] = ("process", "systemd", "docker", "lab")

    def cannot(self, capability: type) -> str:
        if why := networks.cannot_change() or nft.absent():
            return why
        return _no_netem() if capability is Shaping and "netem" not in shaping.kinds() else ""

    def refusal(self, node: Node) -> str:
        own = control(node)
        return own.refusal(node) if own else "Nothing controls it."

    def victim(self, node: Node) -> str:
        try:
            pids = _pids(node)
        except EngineError:
            return ""
        return f"the packets of {processes.describe(pids[0])}"

    # Packets, and of these single ports

    def capture_packets(self, node: Node, peers: Sequence[Node]) -> Captured:
        """Raises Refused where it cannot be told apart from others, Unreachable where it does not run."""
        pids = _pids(node)
        namespace, place = networks.number(pids[0]), f"/proc/{pids[0]}/ns/net"
        here = networks.addresses(place)
        seen = {peer.name: _pids_or_none(peer) for peer in peers}
        theirs = {peer.name: _addresses(peer, seen[peer.name]) for peer in peers}
        shared = networks.is_hosts(namespace) or any(_within(one, namespace) for one in seen.values())
        mine = _resolved(node) if shared else here
        alike = _alike(mine, theirs) if shared else []
        found = {
            "namespace": namespace, "pid": processes.identity(pids[0]), "name": node.name, "shared": shared,
            "mine": mine, "peers": theirs, "alike": _sharing(node.name, alike) if alike else "",
            "ports": networks.listening(pids, pids[0]) if shared else [], "port": _own_port(node),
            "theirs": sorted({_own_port(peer) for peer in peers}), "bound": _bound([pids]),
            "bound_there": _bound(seen.values()) if all(seen.values()) else None,
            "spared": networks.lifelines(pids[0]), "endpoints": networks.own_endpoints(),
            "names": networks.name_servers() if shared else [],
        }  # fmt: skip
        _refuse_lifelines(found)
        return found

    def tell_apart(self, captured: Captured, how: dict[str, Any]) -> None:
        asked = how.get("ports", [])
        if spared := sorted({*asked} & {*captured["spared"]}):
            raise Refused(_lifeline(f"Port {spared[0]}"))
        if unknown := [port for port in asked if not _may_be(port, captured, how["between"])]:
            there = [str(port) for port in captured["bound"]]
            raise Refused(
                f"Nothing of {captured['name']} is at port {unknown[0]}, so nothing would be cut.",
                f"It is at {listed(there)}." if there else "Is it running?",
            )
        _place(captured, how)

    def disturb_packets(self, captured: Captured, mark: str, how: dict[str, Any], until: float) -> None:
        place = _place(captured, how)
        shaped = bool(SHAPED & set(how)) and not captured["shared"]
        _refuse_shape(captured["name"], how, shaped)
        if not (entry := networks.path(captured["namespace"])):
            raise Unreachable(f"The network of {captured['name']} is gone.", "It may have ended.")

        def work() -> None:
            shaper = None
            nft.refuse_foreign(mark)
            if shaped:
                devices = shaping.make(mark, how)
                shaper = Shaper(f"{shaping.handle(mark) << 16 | 2:#x}", shaping.device(mark), tuple(devices))
            nft.make(mark, rules(place, how, until - time.time(), shaper))

        networks.inside(entry, work)

    def undisturb_packets(self, captured: Captured, mark: str) -> None:
        if entry := networks.path(captured["namespace"]):
            networks.inside(entry, lambda: _drop(mark))

    def undisturbed(self, captured: Captured, mark: str) -> ReadBack:
        name = captured["name"]
        if not (entry := networks.path(captured["namespace"])):
            return ReadBack(True, f"the network of {name} is gone, and its rules with it")
        tables, left = networks.inside(entry, lambda: (nft.read(mark), shaping.left(mark)))
        if not all(nft.is_ours(one, mark) for one in tables):
            return ReadBack(None, f"nftables has a table {nft.table_of(mark)} that chaosboard did not make")
        if tables or left:
            what = [f"the table {nft.table_of(mark)}"] * bool(tables) + left
            return ReadBack(False, f"{listed(what)} is still in the network of {name}")
        return ReadBack(True, "the kernel has no rule of it any more")


def _own_port(node: Node) -> int:
    return split_address(node.own_address)[1]


def _refuse_lifelines(captured: Captured) -> None:
    """Where its port is one that is always spared, nothing would be cut: or it is the board that is meant."""
    meant = {captured["port"], *captured["ports"]}
    if captured["shared"] and (both := sorted(meant & set(captured["spared"]))):
        raise Refused(
            _lifeline(f"Port {both[0]}, at which {captured['name']} is reached,"),
            "Is the address of the node right?",
        )
    own = [(a, p) for a, p in captured["endpoints"] if a in captured["mine"] and p in meant]
    if any(a in captured["mine"] and p in meant for a, p in captured["names"]):
        raise Refused(_lifeline(f"{captured['name']} is the name server of this host, which"))
    if own:
        raise Refused(
            f"{captured['name']} is what chaosboard itself uses, at port {own[0][1]}; it never cuts the branch it sits on."
        )


def _lifeline(what: str) -> str:
    return f"{what} keeps this host or chaosboard reachable; it is never cut."


def _may_be(port: int, captured: Captured, between: str) -> bool:
    """Whether packets of a port can be there: the node, or a peer, is at it, or there are peers not seen here."""
    if port in (*captured["bound"], captured["port"]):
        return True
    there = captured["bound_there"]
    return between != "clients" and (there is None or port in (*there, *captured["theirs"]))


def _bound(families: Iterable[list[int]]) -> list[int]:
    return sorted({port for pids in families for port in networks.bound(pids, pids[0])})


def _no_netem() -> str:
    return (
        "netem is missing in this kernel, so nothing is delayed, doubled or changed in it; the link proxy (give "
        "the node an upstream address) or the switch of the lab does that instead."
    )


def _drop(mark: str) -> None:
    nft.drop(mark)
    shaping.drop(mark)


def _refuse_shape(name: str, how: dict[str, Any], shaped: bool) -> None:
    if shaping.NETEM & set(how) and not shaped:
        raise Refused(
            f"{name} shares its network with others, and all of them would be delayed.",
            "Give it a network namespace of its own, or an upstream address for the link proxy.",
        )
    if how.get("distribution", "uniform") != "uniform" and how.get("jitter"):
        raise Refused("The kernel varies a delay uniformly only.", "Leave the distribution out.")
    if shaped and "htb" not in shaping.kinds():
        raise Refused("This kernel has no htb, so that nothing is narrowed in it.", "Use the link proxy.")


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


def _pids_or_none(peer: Node) -> list[int]:
    """As `_pids`, and none where it is on another host, or down."""
    try:
        return _pids(peer)
    except EngineError:
        return []


def _within(pids: list[int], namespace: int) -> bool:
    try:
        return bool(pids) and networks.number(pids[0]) == namespace
    except EngineError:
        return False


def _addresses(peer: Node, pids: list[int]) -> list[str]:
    """Those from which the peer sends: all of its own network where it has one, else that of its address."""
    with contextlib.suppress(EngineError):  # it ended just now: its address tells
        if pids and networks.number(pids[0]) != networks.number():
            return networks.addresses(f"/proc/{pids[0]}/ns/net") or _resolved(peer)
    return _resolved(peer)


def _resolved(node: Node) -> list[str]:
    host, _ = split_address(node.upstream or node.address)
    try:
        return sorted({str(found[4][0]) for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)})
    except OSError as error:
        raise Unreachable(f"The address of {node.name}, {host}, is not known: {error.strerror}.") from None


def _alike(mine: list[str], peers: dict[str, list[str]]) -> list[str]:
    """The peers' addresses that are the node's too, or from which each of them may send."""
    found = {a for theirs in peers.values() for a in theirs}
    return sorted(a for a in found if a in mine or ipaddress.ip_address(a).is_loopback)


def _sharing(name: str, alike: list[str]) -> str:
    return (
        f"{name} and its peers share the network of one host, at {listed(alike)}: what they send one another "
        "cannot be told apart. Give each a network namespace of its own, as the lab does."
    )


def _place(captured: Captured, how: dict[str, Any]) -> Place:
    """Raises Refused where packets do not tell whether they are the node's, a peer's or a client's."""
    theirs = sorted({a for found in captured["peers"].values() for a in found})
    spared, asked = tuple(captured["spared"]), tuple(how.get("ports", ()))
    endpoints = tuple((a, p) for a, p in (*captured.get("endpoints", ()), *captured.get("names", ())))
    if not captured["shared"]:
        return Place(tuple(theirs), tuple(captured["mine"]), asked, spared, False, endpoints, asked)
    between, mine = how.get("between", "peers"), captured["mine"]
    alike = _alike(mine, captured["peers"])
    if alike and between == "peers":
        raise Refused(captured["alike"])
    ports = [captured["port"]] if between == "clients" else captured["ports"]
    if not ports:
        raise Refused(
            f"{captured['name']} shares its network with others, and no port of it is known: all would be cut.",
            "Let it listen before it is hurt, or give it a network namespace of its own.",
        )
    peers = () if alike else tuple(theirs)  # on one host, clients are known by the port that they use
    known = sorted({*captured.get("theirs", ()), *captured["ports"]})
    if asked:
        ports, known = [p for p in asked if p in (captured["port"], *captured["bound"])], list(asked)
    return Place(peers, tuple(mine), tuple(ports), spared, True, endpoints, tuple(known))
