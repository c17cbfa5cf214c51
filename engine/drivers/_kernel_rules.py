"""The nftables rules of one disturbance, as text. Pure: see `engine.host.nft` for who has them made.

Every rule first asks the set `live`, whose elements go by themselves when the time of the disturbance is over:
a rule that outlives everybody who could remove it does nothing from then on.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

PARTS = 1_000_000  # of which a share is counted out
CLASS = "1:2"  # the class of traffic control for what is marked to be shaped
BETWEEN = ("peers", "clients", "all")


@dataclass(frozen=True)
class Place:
    """Whose packets are meant. `ports` are those of the node where others share its network, else empty;
    `spared` are ports that keep the host and the board reachable."""

    peers: tuple[str, ...]  # addresses
    mine: tuple[str, ...]
    ports: tuple[int, ...]
    spared: tuple[int, ...]
    loopback: bool  # whether what passes within the host counts too


def rules(place: Place, how: dict[str, Any], seconds: float) -> str:
    """The body of the table: what `how` does to the packets of `place` for so many seconds."""
    what = _verdict(how)
    ways = [("arrives", "input", "s"), ("leaves", "output", "d")]
    if how.get("direction", "both") != "both":
        ways = ways[:1] if how["direction"] == "to-node" else ways[1:]
    lines = [_live(seconds), *_sets(place.peers), f" chain hurt {{ {what} }}"]
    for name, hook, end in ways:
        lines.append(f" chain {name} {{ type filter hook {hook} priority -300;")
        lines += [f"  {rule}" for rule in _picked(place, how.get("between", "peers"), end)]
        lines.append(" }")
    return "\n".join(lines)


def _verdict(how: dict[str, Any]) -> str:
    ports = _listed(how.get("ports", ()))
    only = f"th dport {ports} " if ports else ""
    other = f"th sport {ports} " if ports else ""
    if how.get("cut"):
        acts = (
            ["meta l4proto tcp reject with tcp reset", "counter drop"]
            if how.get("reset")
            else ["counter drop"]
        )
    elif "loss" in how:
        acts = [f"numgen random mod {PARTS} < {round(how['loss'] * PARTS)} counter drop"]
    else:
        acts = [f"counter meta priority set {CLASS}"]
    chosen = (
        [f"meta l4proto {{ tcp, udp }} {one}{act}" for act in acts for one in (only, other)]
        if ports
        else acts
    )
    return " ".join(f"{one};" for one in chosen)


def _picked(place: Place, between: str, end: str) -> list[str]:
    """Rules that send what is meant to the chain `hurt`; `end` is at which end the others are: s or d."""
    here = "d" if end == "s" else "s"
    found = [] if place.loopback else [f'{"iifname" if end == "s" else "oifname"} "lo" return;']
    if spared := _listed(place.spared):
        found += [f"tcp dport {spared} return;", f"tcp sport {spared} return;"]
    only = [""]
    if place.ports and between != "peers":
        mine = _listed(place.ports)
        only = [f"tcp {here}port {mine} ", f"udp {here}port {mine} "]
    for version in (4, 6):
        word = "ip" if version == 4 else "ip6"
        owned = _listed([a for a in place.mine if _version(a) == version])
        if place.ports and owned:
            only_here = [f"{word} {here}addr {owned} {one}" for one in only]
        elif place.ports:
            continue
        else:
            only_here = only
        others = {
            "peers": f"{word} {end}addr @peers{version} ",
            "clients": f"{word} {end}addr != @peers{version} ",
        }
        found += [
            f"meta nfproto ipv{version} meta nfproto @live {others.get(between, '')}{one}goto hurt;"
            for one in only_here
        ]
    return found


def _live(seconds: float) -> str:
    left = f"{max(1, round(seconds * 1000))}ms"
    return f" set live {{ type nf_proto; flags timeout; elements = {{ ipv4 timeout {left}, ipv6 timeout {left} }} }}"


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
