"""The links of a service, each way for itself: what could cut it, or why nothing can, and what a fault would cut."""

from dataclasses import dataclass
from itertools import combinations
from typing import Any

from engine.capabilities import Filter, Network, Packets
from engine.drivers import having
from engine.errors import EngineError
from engine.target import Target
from engine.topology import CLIENTS, Cuts, Pair, Topology, by_link, topology_of

BY = {"link": "link proxy", "kernel": "kernel rule", "lab": "lab switch", "linked": "link proxy"}
Carried = dict[str, tuple[str, str]]


@dataclass(frozen=True)
class Way:
    """One direction of a link: `by` names what can cut it, "" where nothing can, and then `why` says why."""

    by: str
    why: str = ""


@dataclass(frozen=True)
class Row:
    """A link and both its ways; `cut_there` is from `one` to `other`."""

    one: str
    other: str
    there: Way
    back: Way
    cut_there: bool
    cut_back: bool


def pairs(target: Target) -> list[Pair]:
    """Every link once: of the clients with each node, then of the nodes with one another."""
    names = [node.name for node in target.nodes]
    return [(CLIENTS, name) for name in names] + list(combinations(names, 2))


def ways(target: Target, *, filters: bool = False) -> dict[Pair, Way]:
    """Each direction of each link; a driver is asked once for each node. With `filters`, what could cut single
    ports of it or answer what it cuts."""
    packets = _carried(target, Filter if filters else Packets)
    proxied = packets if filters else _carried(target, Network)
    found = {}
    for one, other in pairs(target):
        for a, b in ((one, other), (other, one)):
            found[a, b] = _way(a, b, packets, proxied)
    return found


def rows(target: Target, cuts: Cuts = frozenset(), *, filters: bool = False) -> list[Row]:
    """The links as a table, with those of `cuts` marked."""
    carried = ways(target, filters=filters)
    return [Row(a, b, carried[a, b], carried[b, a], (a, b) in cuts, (b, a) in cuts) for a, b in pairs(target)]


@dataclass(frozen=True)
class Cut:
    """A link that would be cut, from `one` to `other` or both ways; `by` is what cuts it."""

    one: str
    other: str
    both: bool
    by: str

    def to_dict(self) -> dict[str, Any]:
        return {"from": self.one, "to": self.other, "both": self.both, "by": self.by, "text": self.text()}

    def text(self) -> str:
        return f"{self.one} {'↔' if self.both else '→'} {self.other}"


def preview(fault: Any, target: Target, leader: str | None) -> tuple[tuple[Cut, ...], str]:
    """The links that a fault would cut, its nodes resolved, and in words what of it is known only when it begins.

    `leader` is who leads now, None where nobody says so. None for a fault that cuts no links.
    """
    topology = topology_of(fault)
    if topology is None or not (topology.text() or topology.links):
        return (), ""
    cuts, by = topology.example(target, leader), ways(target, filters=fault.filters)
    found = []
    for one, other, both in by_link(cuts):
        pairs = [(one, other), (other, one)] if both else [(one, other)]
        carriers = dict.fromkeys(by[pair].by or f"nothing: {by[pair].why}" for pair in pairs)
        found.append(Cut(one, other, both, ", ".join(carriers)))
    return tuple(found), unsettled(topology, target, leader)


def unsettled(topology: Topology, target: Target, leader: str | None) -> str:
    """What of its links is known only when it begins, in words; "" where nothing is open."""
    if topology.drawn(target):
        return "which nodes that is, dice say when it begins: this is one way it may fall"
    if topology.needs_leader:
        return f"drawn for {leader} as the leader" if leader else "drawn as if the first node led"
    return ""


def _carried(target: Target, capability: type) -> Carried:
    """By node: what carries it there, or "" and why nothing does."""
    found = {}
    for node in target.nodes:
        try:
            name, _ = having(node, capability)
            found[node.name] = (BY.get(name, f"the {name} driver"), "")
        except EngineError as error:
            found[node.name] = ("", str(error))
    return found


def _way(sender: str, receiver: str, packets: Carried, proxied: Carried) -> Way:
    """Dropped where it arrives, else where it leaves; what clients send can also be held in a link proxy."""
    ends = [name for name in (receiver, sender) if name != CLIENTS]
    for name in ends:
        if by := packets[name][0]:
            return Way(f"{by} at {name}")
    if CLIENTS in (sender, receiver):
        by, why = proxied[ends[0]]
        return Way(f"{by} of {ends[0]}") if by else Way("", why)
    return Way("", packets[ends[0]][1])
