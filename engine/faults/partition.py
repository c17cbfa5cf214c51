import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, ClassVar

from engine.capabilities import Captured, Either, Filter, Needs, Network, Packets
from engine.drivers import having, lacks
from engine.errors import Refused
from engine.faults import Aim, Piece, listed, others
from engine.faults._link import _PacketFault
from engine.parameters import param
from engine.target import Node, Target
from engine.topology import BY_HAND, CLIENTS, KINDS, Cuts, Pair, Topology, topology_of

_LINES = {
    "both": "cut {} off from {}",
    "to-node": "cut {} off from what {} send",
    "from-node": "cut {1} off from what {0} answers",
}
_WHOM = {"clients": "clients", "peers": "the other nodes", "all": "everybody"}
ANSWERS = {"silence": "", "reset": ", answered by a reset", "unreachable": ", answered as unreachable"}
_SURE = 12  # nodes up to which the largest group that is whole is looked for among all


@dataclass(frozen=True)
class Partition(_PacketFault):
    """Cuts the link between clients and the node: nothing passes, nothing is lost, and no connection is closed.

    Between nodes it cuts by topology: `topology: halves` for all nodes of the service at once, or the links that
    are named. Where nodes share the network of their host, all that is sent from a node's address counts as that
    node's in the kernel, a probe of the board too.
    """

    direction: str = param("both", help="which way nothing passes", choices=tuple(_LINES))
    topology: str = param(
        "", help=f"which links between nodes are cut: {', '.join(kind for kind in KINDS if kind != BY_HAND)}"
    )
    links: list[str] = param([], help="or these links, as in n1 -> n2 (what n1 sends) or n2 <-> n3, clients")
    ports: list[str] = param([], help="only packets to and from these ports, such as 2380 and not 2379")
    answer: str = param(
        "silence",
        help="what a sender hears of a packet that is cut: silence, reset (of TCP; the connection is over) or "
        "unreachable (an ICMP error); another answer than silence, and ports, take the kernel of the node's host",
        choices=tuple(ANSWERS),
    )

    needs: ClassVar[Needs] = Either((Network, Packets))

    def __post_init__(self) -> None:
        if wrong := [word for word in self._ports() if not word.isdecimal() or not 0 < int(word) < 65536]:
            raise ValueError(f"ports: {wrong[0]!r} is no port; they are numbers from 1 to 65535")
        if self.by_links:
            Topology.read(self.topology, self.links)
            if (self.nodes, self.between, self.direction) != (["one"], "clients", "both"):
                raise ValueError(
                    "a topology says itself who is cut from whom: leave out nodes, between and direction"
                )

    @property
    def by_links(self) -> bool:
        return bool(self.topology or self.links)

    @property
    def _links(self) -> Topology:
        return Topology.read(self.topology, self.links)

    @property
    def filters(self) -> bool:
        """Whether it takes more than to let packets vanish."""
        return bool(self.ports) or self.answer != "silence"

    def _ports(self) -> list[str]:
        return " ".join(self.ports).replace(",", " ").split()

    def narrowed(self) -> str:
        """At which ports, and what is answered, in words behind its line; "" where it is all, in silence."""
        ports = self._ports()
        where = f" at {'port' if len(ports) == 1 else 'ports'} {listed(ports)}" if ports else ""
        return where + ANSWERS[self.answer]

    def line(self, nodes: Sequence[str]) -> str:
        if self.by_links:
            return self._links.line() + self.narrowed()
        return _LINES[self.direction].format(listed(nodes), _WHOM[self.between]) + self.narrowed()

    def line_among(self, node: Node, peers: Sequence[Node]) -> str:
        if self.between != "peers":
            return self.line([node.name])
        whom = listed([peer.name for peer in peers])
        return _LINES[self.direction].format(node.name, whom) + self.narrowed()

    def how(self) -> dict[str, Any]:
        return {"cut": True} if self.direction == "both" else {"cut": True, "direction": self.direction}

    def packets(self) -> dict[str, Any]:
        found: dict[str, Any] = {"cut": True, "direction": self.direction}
        if self.ports:
            found["ports"] = sorted(set(map(int, self._ports())))
        return found if self.answer == "silence" else {**found, "answer": self.answer}

    def capture_among(self, driver: Any, node: Node, peers: Sequence[Node]) -> Captured:
        captured = super().capture_among(driver, node, peers)
        if self.filters:
            driver.tell_apart(captured["packets"], {**self.packets(), "between": self.between})
        return captured

    # By links: whom it meets is resolved once, and each node is told from whom it is cut

    def wants(self) -> Needs:
        return self._through(CLIENTS) if self.by_links else self._through(self.between)

    def _through(self, between: str) -> Needs:
        """What it takes to cut a node off from clients, from its peers or from all."""
        if self.filters:
            return Filter
        return self.needs if between == CLIENTS else Packets

    def needs_leader(self) -> bool:
        return self._links.needs_leader if self.by_links else super().needs_leader()

    def announced(self, target: Target) -> str:
        return self.line([]) if self.by_links else super().announced(target)

    def most(self, target: Target) -> int:
        return len(_down(self._links.example(target), target)) if self.by_links else super().most(target)

    def sure_of(self, target: Target) -> set[str]:
        if not self.by_links:
            return super().sure_of(target)
        return set() if self._links.drawn(target) else _ends(self._links.example(target))

    def may_hit(self, target: Target) -> list[Node]:
        if not self.by_links:
            return super().may_hit(target)
        able = [node for node in target.nodes if not lacks(node, self.wants())]
        sure = self.sure_of(target)
        return [node for node in able if not sure or node.name in sure]

    def impossible(self, target: Target) -> list[str]:
        if not self.by_links:
            return super().impossible(target)
        cuts, found = self._links.example(target), set()
        if self._links.drawn(target) and not {CLIENTS} & {end for pair in cuts for end in pair}:
            cuts = frozenset((a.name, b.name) for a in target.nodes for b in target.nodes if a != b)
        for pair in cuts:
            try:
                self._piece_at(pair, target)
            except Refused as error:
                found.add(str(error))
        return sorted(found)

    def _cut(self, nodes: Sequence[str], target: Target) -> tuple[Pair, ...]:
        """The links of these nodes that are cut; none where there is nobody to be cut from."""
        topology = topology_of(replace(self, nodes=list(nodes)))
        try:
            return tuple(sorted(topology.cuts(target, None, random.Random(0)))) if topology else ()
        except Refused:
            return ()

    def rehearse(self, target: Target) -> None:
        if self.by_links:
            pieces: Sequence[Piece] = self._pieces(self._links.example(target), target)
        else:
            pieces = [Piece(node, self, others(target, [node.name])) for node in self.may_hit(target)]
        for piece in pieces:
            if isinstance(piece.fault, _PacketFault):
                piece.fault.rehearse_at(piece.node, piece.peers)

    def rehearse_at(self, node: Node, peers: Sequence[Node]) -> None:
        if not self.filters:
            return super().rehearse_at(node, peers)
        _, driver = having(node, Filter)
        if isinstance(driver, Filter):
            self.capture_among(driver, node, peers)
        return None

    def aim(self, target: Target, leader: str | None, dice: random.Random) -> Aim:
        if not self.by_links:
            aim = super().aim(target, leader, dice)
            return replace(aim, links=self._cut(aim.nodes, target))
        cuts = self._links.cuts(target, leader, dice)
        names = [node.name for node in target.nodes]
        nodes = tuple(name for name in names if name in _ends(cuts))
        return Aim(self._pieces(cuts, target), nodes, _down(cuts, target), tuple(sorted(cuts)))

    def _pieces(self, cuts: Cuts, target: Target) -> tuple[Piece, ...]:
        """A fault for each node that drops something: from whom, or to whom, and which way."""
        found: dict[tuple[str, str, str], list[str]] = {}
        for pair in sorted(cuts):
            name, between, direction, other = self._piece_at(pair, target)
            found.setdefault((name, between, direction), []).append(other)
        for name, between, _ in list(found):
            ways = [(name, between, way) for way in ("to-node", "from-node")]
            if all(way in found for way in ways) and sorted(found[ways[0]]) == sorted(found[ways[1]]):
                found[name, between, "both"] = found.pop(ways[0])
                del found[ways[1]]
        whole, names = replace(self, topology="", links=[]), [node.name for node in target.nodes]
        return tuple(
            Piece(
                target.node(name), replace(whole, nodes=[name], between=between, direction=direction),
                tuple(target.node(o) for o in peers) if between == "peers" else others(target, [name]),
            )
            for (name, between, direction), peers in sorted(found.items(), key=lambda one: names.index(one[0][0]))
        )  # fmt: skip

    def _piece_at(self, pair: tuple[str, str], target: Target) -> tuple[str, str, str, str]:
        """Where a pair is cut: (node, between, direction, the other end). What is sent is dropped where it
        arrives, or where it leaves, if nothing can drop it there. Raises Refused where neither can be."""
        sender, receiver = pair
        between = "clients" if CLIENTS in pair else "peers"
        why = ""
        for name, direction, other in ((receiver, "to-node", sender), (sender, "from-node", receiver)):
            if name != CLIENTS and not (lacking := lacks(target.node(name), self._through(between))):
                return name, between, direction, other
            why = why or (lacking if name != CLIENTS else "")
        raise Refused(why)


def _ends(cuts: Cuts) -> set[str]:
    return {end for pair in cuts for end in pair} - {CLIENTS}


def _down(cuts: Cuts, target: Target) -> tuple[str, ...]:
    """The nodes that count as hurt: those outside the largest group that clients and one another reach whole."""
    names = [node.name for node in target.nodes]
    kept = [n for n in names if (CLIENTS, n) not in cuts and (n, CLIENTS) not in cuts]
    whole = _largest(cuts, kept) if len(kept) <= _SURE else _large(cuts, kept)
    return tuple(name for name in names if name not in whole)


def _largest(cuts: Cuts, names: list[str]) -> set[str]:
    for size in range(len(names), 1, -1):
        for group in combinations(names, size):
            if not any((a, b) in cuts or (b, a) in cuts for a, b in combinations(group, 2)):
                return set(group)
    return set(names[:1])


def _large(cuts: Cuts, names: list[str]) -> set[str]:
    """One that cannot be made larger: of many nodes, the largest is not looked for."""
    found: set[str] = set()
    for name in names:
        if not any((name, other) in cuts or (other, name) in cuts for other in found):
            found.add(name)
    return found
