"""The links of a service, each way for itself: what could cut it, or why nothing can."""

from dataclasses import dataclass
from itertools import combinations

from engine.capabilities import Network, Packets
from engine.drivers import having
from engine.errors import EngineError
from engine.target import Target
from engine.topology import CLIENTS, Cuts, Pair

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


def ways(target: Target) -> dict[Pair, Way]:
    """Each direction of each link; a driver is asked once for each node."""
    packets = _carried(target, Packets)
    proxied = _carried(target, Network)
    found = {}
    for one, other in pairs(target):
        for a, b in ((one, other), (other, one)):
            found[a, b] = _way(a, b, packets, proxied)
    return found


def rows(target: Target, cuts: Cuts = frozenset()) -> list[Row]:
    """The links as a table, with those of `cuts` marked."""
    carried = ways(target)
    return [Row(a, b, carried[a, b], carried[b, a], (a, b) in cuts, (b, a) in cuts) for a, b in pairs(target)]


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
