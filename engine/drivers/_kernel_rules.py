"""The nftables rules of one disturbance, as text. Pure: see `engine.host.nft` for who has them made.

Every rule first asks the set `live`, whose elements go by themselves when the time of the disturbance is over:
a rule that outlives everybody who could remove it does nothing from then on.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

PARTS = 1_000_000  # of which a share is counted out
SHAPED = {"latency", "jitter", "duplicate", "reorder", "corrupt", "rate"}  # what traffic control does
BETWEEN = ("peers", "clients", "all")


@dataclass(frozen=True)
class Place:
    """Whose packets are meant. `ports` are those of the node where others share its network, or that were asked
    for; all where it is empty. `spared` are ports that keep the host and the board reachable."""

    peers: tuple[str, ...]  # addresses
    mine: tuple[str, ...]
    ports: tuple[int, ...]
    spared: tuple[int, ...]
    shared: bool  # with others: then what passes within the host counts too, and only by the node's addresses
    endpoints: tuple[tuple[str, int], ...] = ()  # servers that chaosboard itself uses: never cut
    theirs: tuple[int, ...] = ()  # ports at which peers are reached, where `ports` says which of the node's


@dataclass(frozen=True)
class Shaper:
    """Where packets are sent to be shaped: a class for those that leave, a device for those that arrive."""

    number: str
    device: str
    devices: tuple[str, ...]  # by which they arrive


def rules(place: Place, how: dict[str, Any], seconds: float, shaper: Shaper | None = None) -> dict[str, str]:
    """By family, the body of the table: what `how` does to the packets of `place` for so many seconds."""
    if shaper is None:
        return {"inet": _filter(place, how, seconds, _verdict(how))}
    leaves = {**how, "direction": "from-node"}
    found = {"inet": _filter(place, leaves, seconds, f"counter meta priority set {shaper.number};")}
    return found | {"netdev": _forward(place, how, seconds, shaper)}


def _forward(place: Place, how: dict[str, Any], seconds: float, shaper: Shaper) -> str:
    lines = [_live(seconds, "ether_type", ("ip", "ip6")), *_sets(place.peers)]
    for i, device in enumerate(shaper.devices):
        lines.append(f' chain arrives{i} {{ type filter hook ingress device "{device}" priority -300;')
        lines += [
            f"  {rule}"
            for rule in _picked(place, how.get("between", "peers"), "s", f'fwd to "{shaper.device}"')
            if '"lo"' not in rule
        ]
        lines.append(" }")
    return (
        "\n".join(lines)
        .replace("meta nfproto ipv4", "meta protocol ip")
        .replace("meta nfproto ipv6", "meta protocol ip6")
        .replace("meta nfproto @live", "meta protocol @live")
    )


def _filter(place: Place, how: dict[str, Any], seconds: float, what: str) -> str:
    ways = [("arrives", "input", "s"), ("leaves", "output", "d")]
    if how.get("direction", "both") != "both":
        ways = ways[:1] if how["direction"] == "to-node" else ways[1:]
    lines = [_live(seconds, "nf_proto", ("ipv4", "ipv6")), *_sets(place.peers), f" chain hurt {{ {what} }}"]
    for name, hook, end in ways:
        lines.append(f" chain {name} {{ type filter hook {hook} priority -300;")
        lines += [f"  {rule}" for rule in _picked(place, how.get("between", "peers"), end)]
        lines.append(" }")
    return "\n".join(lines)


_TOLD = (  # by an answer, which would be cut too
    "tcp flags & rst == rst return; icmp type destination-unreachable return; "
    "icmpv6 type destination-unreachable return;"
)
_UNREACHABLE = "counter reject with icmpx type admin-prohibited;"
_ANSWERS = {
    "silence": "counter drop;",
    "unreachable": f"{_TOLD} {_UNREACHABLE}",
    "reset": f"{_TOLD} meta l4proto tcp counter reject with tcp reset; {_UNREACHABLE}",
}


def _verdict(how: dict[str, Any]) -> str:
    if how.get("cut"):
        return _ANSWERS[how.get("answer", "silence")]
    if "loss" in how:
        return f"numgen random mod {PARTS} < {round(how['loss'] * PARTS)} counter drop;"
    rate = max(
        1, round(how["rate"])
    )  # beside others there is no queue of its own: what is too much is dropped
    return f"limit rate over {rate} bytes/second burst {max(3000, rate // 10)} bytes counter drop;"


def _picked(place: Place, between: str, end: str, verdict: str = "goto hurt") -> list[str]:
    """Rules that send what is meant to the chain `hurt`; `end` is at which end the others are: s or d."""
    here = "d" if end == "s" else "s"
    found = [] if place.shared else [f'{"iifname" if end == "s" else "oifname"} "lo" return;']
    found += _spared(place)
    for version in (4, 6):
        word = "ip" if version == 4 else "ip6"
        owned = _listed([a for a in place.mine if _version(a) == version])
        if place.shared and not owned:
            continue
        mine = f"{word} {here}addr {owned} " if place.shared else ""
        peers = f"{word} {end}addr @peers{version} "
        others = {"peers": peers, "clients": f"{word} {end}addr != @peers{version} "}.get(between, "")
        ways = [mine + others + one for one in _at(place.ports, here)]
        if place.ports and between != "clients":  # what it opens to its peers itself
            ways += [mine + peers + one for one in _at(place.theirs, end) if one]
        found += [f"meta nfproto ipv{version} meta nfproto @live {one}{verdict};" for one in ways]
    return found


def _at(ports: Sequence[int], end: str) -> list[str]:
    """Matches of these ports at one end; of any packet where there are none."""
    found = _listed(ports)
    return [f"tcp {end}port {found} ", f"udp {end}port {found} "] if found else [""]


def _spared(place: Place) -> list[str]:
    """What keeps the host and the board alive passes before anything is cut."""
    spared = _listed(place.spared)
    found = [f"tcp dport {spared} return;", f"tcp sport {spared} return;"] if spared else []
    for address, port in place.endpoints:
        word = "ip" if _version(address) == 4 else "ip6"
        found += [
            f"{word} {end}addr {address} meta l4proto {{ tcp, udp }} th {end}port {port} return;"
            for end in ("d", "s")
        ]
    return found


def _live(seconds: float, kind: str, names: Sequence[str]) -> str:
    left = f"{max(1, round(seconds * 1000))}ms"
    elements = ", ".join(f"{name} timeout {left}" for name in names)
    return f" set live {{ type {kind}; flags timeout; elements = {{ {elements} }} }}"


def _sets(peers: Sequence[str]) -> list[str]:
    lines = []
    for version in (4, 6):
        found = ", ".join(a for a in peers if _version(a) == version)
        elements = f"; elements = {{ {found} }}" if found else ";"
        lines.append(f" set peers{version} {{ type ipv{version}_addr{elements} }}")
    return lines


def _version(address: str) -> int:
    return ipaddress.ip_address(address).version


def _listed(items: Sequence[Any]) -> str:
    return f"{{ {', '.join(map(str, items))} }}" if items else ""
