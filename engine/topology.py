"""Topologies: which links of a service are cut, as a value; who cannot send to whom follows from the target.

Written as one line, `majorities-ring`, `one-way n1 n2`, `zone-from-zone zone-a zone-b`, or as links picked by
hand, `n1 -> n2` (what n1 sends to n2 is lost) and `n1, n2 <-> n3, clients`. Whom a line names is written as in
the blast radius: names, leader, minority, tag:zone-a. Where it names nobody, the dice choose.

The definitions of halves, one alone, the bridge and the majorities ring are those of Jepsen (jepsen.nemesis:
bisect, split-one, bridge, majorities-ring). Its ring of more than five nodes is found by chance; ours is
a circulant graph, so that every node sees as small a majority as can be.
"""

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from engine import blast
from engine.errors import Refused, there_are
from engine.target import Target
from engine.text import count, listed

CLIENTS = "clients"  # the pseudo node from which the service is used
BY_HAND = "links"
REST = "rest"  # of a link picked by hand: the nodes that its other side does not name
ARROWS = {"<->": "both", "->": "there", "<-": "back"}
_ARROW = re.compile(r"<->|->|<-")

Pair = tuple[str, str]  # from, to: what the first sends never reaches the second
Cuts = frozenset[Pair]


@dataclass(frozen=True)
class Kind:
    """What a topology means, in words: `whom` says what may be named after it, "" where nothing."""

    title: str
    help: str
    least: int  # nodes that a service needs for it
    whom: str = ""
    most: int = 1000  # words that may be named


KINDS = {
    "all-from-all": Kind("all from all", "no node reaches any other; clients reach them all", 2),
    "halves": Kind("halves", "two halves that cannot see each other; of an odd number one has the majority", 2),
    "one-alone": Kind("one alone", "one node is cut off from the others", 2, "which node", 1),
    "minority": Kind("minority / majority", "the largest minority is cut off from the majority", 3),
    "majorities-ring": Kind(
        "majorities ring", "every node sees a majority, and no two nodes see the same one", 3
    ),
    "bridge": Kind("bridge", "two halves that see each other only through one node", 3, "the bridge", 1),
    "one-way": Kind("one way", "what a group sends never reaches the rest; the rest reaches it", 2, "the group"),
    "leader-alone": Kind("leader alone", "the leader of that moment is cut off from the others", 2),
    "clients-from-nodes": Kind(
        "clients from nodes", "clients and nodes cannot reach each other; nodes can", 1, "which nodes"
    ),
    "zone-from-zone": Kind(
        "zone from zone", "nodes of one tag from those of another, or from all others", 2, "one or two tags", 2
    ),
    BY_HAND: Kind("picked by hand", "the links that are named, each way for itself", 1),
}  # fmt: skip


@dataclass(frozen=True)
class Topology:
    """One of KINDS, with the words that say whom it means, or the links picked by hand."""

    kind: str
    whom: tuple[str, ...] = ()
    links: tuple[str, ...] = ()

    @classmethod
    def read(cls, text: str, links: Sequence[str] = ()) -> "Topology":
        """From `text()` and `links` of the same; raises ValueError saying what would be right."""
        kind, *whom = text.replace(",", " ").split() or [BY_HAND]
        if kind not in KINDS:
            raise ValueError(f"there is no topology {kind!r}; {there_are(kind, KINDS)}")
        if kind != BY_HAND and links:
            raise ValueError(f"{kind} says which links are cut; leave the links out, or the topology")
        if len(whom) > KINDS[kind].most or (whom and not KINDS[kind].whom):
            what = KINDS[kind].whom or "nothing"
            raise ValueError(f"{kind} takes {what} after it, not {' '.join(whom)!r}")
        links = separate(links)
        if kind == BY_HAND and not links:
            raise ValueError("no link is named; write them as in [n1 -> n2, n2 <-> n3]")
        if kind == "zone-from-zone" and not whom:
            raise ValueError("zone-from-zone names one tag or two, as in zone-from-zone zone-a zone-b")
        return cls(kind, tuple(whom), tuple(_tidy(link) for link in links))

    def text(self) -> str:
        """What `read` reads back, together with `links`."""
        return "" if self.kind == BY_HAND else " ".join([self.kind, *self.whom])

    @property
    def words(self) -> tuple[str, ...]:
        """Every word that names somebody."""
        return self.whom + tuple(word for link in self.links for side in _sides(link) for word in side)

    @property
    def needs_leader(self) -> bool:
        return self.kind == "leader-alone" or blast.needs_leader(self.words)

    def drawn(self, target: Target) -> bool:
        """Whether dice have a say in which nodes it meets."""
        if self.kind in ("all-from-all", "leader-alone", "zone-from-zone"):
            return False
        if self.kind in ("halves", "minority", "majorities-ring", "bridge"):
            return len(target.nodes) > 2 or bool(self.whom)
        names = {CLIENTS, REST, "leader", "followers", "all", *(node.name for node in target.nodes)}
        certain = all(w in names or w.startswith(blast.TAG) for w in self.words)
        return not certain or (self.kind in ("one-alone", "one-way") and not self.whom)

    def line(self) -> str:
        """What it does, in a few words: `cut all from all`, `cut n1 → n2`."""
        if self.kind == BY_HAND:
            return f"cut {listed([arrows(link) for link in self.links])}"
        return _LINES[self.kind].format(listed(self.whom)) if self.whom else _BARE[self.kind]

    def cuts(self, target: Target, leader: str | None, dice: random.Random) -> Cuts:
        """The ordered pairs that are cut; raises Refused where it cannot be made of these nodes.

        `leader` is who leads now, None where nobody says so. The same dice give the same pairs.
        """
        names = [node.name for node in target.nodes]
        if CLIENTS in names:
            raise Refused(
                f"A node of {target.name} is called {CLIENTS}.", "Give it another name to cut links."
            )
        if len(names) < (least := KINDS[self.kind].least):
            have = count(len(names), "node")
            raise Refused(f"{self._title} needs at least {least} nodes; {target.name} has {have}.")
        if self.kind == "leader-alone" and leader not in names:
            raise Refused(
                "Nobody leads, or nobody says so; the leader cannot be cut off.", "Name a node instead."
            )
        found = _MAKERS[self.kind](self, _Facts(target, names, leader, dice))
        if not found:
            raise Refused(f"{self.line().capitalize()}: that cuts no link of {target.name}.")
        return found

    def example(self, target: Target, leader: str | None = None) -> Cuts:
        """One way it may fall out, the same each time: for a preview, and to say early why it cannot be."""
        first = target.nodes[0].name if self.needs_leader else None
        return self.cuts(target, leader or first, random.Random(0))

    @property
    def _title(self) -> str:
        return KINDS[self.kind].title.capitalize()


@dataclass(frozen=True)
class _Facts:
    target: Target
    names: list[str]
    leader: str | None
    dice: random.Random

    def shuffled(self) -> list[str]:
        return self.dice.sample(self.names, len(self.names))

    def group(self, words: Sequence[str]) -> list[str]:
        """The nodes that `words` name, with the clients where they do."""
        nodes = [word for word in words if word != CLIENTS]
        found = blast.resolve(nodes, self.target, self.leader, self.dice) if nodes else []
        return found + [CLIENTS] * (CLIENTS in words)

    def both(self, left: Sequence[str], right: Sequence[str]) -> tuple[list[str], list[str]]:
        """The two sides of a link, of which one may be the REST."""
        if list(left) == [REST]:
            return self.both(right, left)[::-1]
        group = self.group(left)
        return group, self.rest(group) if list(right) == [REST] else self.group(right)

    def rest(self, group: Sequence[str]) -> list[str]:
        return [name for name in self.names if name not in group]

    def tagged(self, tag: str) -> list[str]:
        tag = tag.removeprefix(blast.TAG)
        found = [node.name for node in self.target.nodes if tag in node.tags]
        if not found:
            known = sorted({tag for node in self.target.nodes for tag in node.tags})
            there = f"There are: {', '.join(known)}." if known else "Give its nodes tags, such as zone-a."
            raise Refused(f"No node of {self.target.name} is tagged {tag}.", there)
        return found


def _to(senders: Sequence[str], receivers: Sequence[str]) -> Cuts:
    return frozenset((a, b) for a in senders for b in receivers if a != b)


def _between(one: Sequence[str], other: Sequence[str]) -> Cuts:
    return _to(one, other) | _to(other, one)


def _all(topology: Topology, facts: _Facts) -> Cuts:
    return _to(facts.names, facts.names)


def _halves(topology: Topology, facts: _Facts) -> Cuts:
    nodes = facts.shuffled()
    half = len(nodes) // 2
    return _between(nodes[:half], nodes[half:])


def _alone(topology: Topology, facts: _Facts) -> Cuts:
    group = facts.group(topology.whom or ["one"])
    return _between(group, facts.rest(group))


def _minority(topology: Topology, facts: _Facts) -> Cuts:
    group = facts.group(["minority"])
    return _between(group, facts.rest(group))


def _leader(topology: Topology, facts: _Facts) -> Cuts:
    return _between([str(facts.leader)], facts.rest([str(facts.leader)]))


def _bridge(topology: Topology, facts: _Facts) -> Cuts:
    bridges = facts.group(topology.whom or ["one"])
    if len(bridges) != 1:
        raise Refused(f"A bridge is one node; {' '.join(topology.whom)} are {len(bridges)}.")
    nodes = [name for name in facts.shuffled() if name not in bridges]
    half = len(nodes) // 2
    return _between(nodes[:half], nodes[half:])


def _ring(topology: Topology, facts: _Facts) -> Cuts:
    """Neighbours on a ring as far as needed, and once across it where the number of links is odd."""
    nodes = facts.shuffled()
    n, degree = len(nodes), len(nodes) // 2  # with itself, degree + 1 is the smallest majority
    seen = {frozenset((i, (i + step) % n)) for i in range(n) for step in range(1, degree // 2 + 1)}
    if degree % 2:
        ends = range(n // 2) if n % 2 == 0 else [*range(n // 2), n - 1]
        seen |= {frozenset((i, (i + n // 2) % n)) for i in ends}
    return frozenset(
        (nodes[a], nodes[b]) for a in range(n) for b in range(n) if a != b and frozenset((a, b)) not in seen
    )


def _one_way(topology: Topology, facts: _Facts) -> Cuts:
    group = facts.group(topology.whom or ["one"])
    return _to(group, facts.rest(group))


def _clients(topology: Topology, facts: _Facts) -> Cuts:
    return _between([CLIENTS], facts.group(topology.whom or ["all"]))


def _zones(topology: Topology, facts: _Facts) -> Cuts:
    one = facts.tagged(topology.whom[0])
    other = facts.tagged(topology.whom[1]) if len(topology.whom) > 1 else facts.rest(one)
    if both := [name for name in one if name in other]:
        raise Refused(f"{listed(both)} would be on both sides.", "Choose tags that no node shares.")
    return _between(one, other)


def _by_hand(topology: Topology, facts: _Facts) -> Cuts:
    found: Cuts = frozenset()
    for link in topology.links:
        left, right = facts.both(*_sides(link))
        way = ARROWS[_arrow(link)]
        found |= _to(left, right) if way != "back" else frozenset()
        found |= _to(right, left) if way != "there" else frozenset()
    return found


_MAKERS: dict[str, Callable[[Topology, _Facts], Cuts]] = {
    "all-from-all": _all, "halves": _halves, "one-alone": _alone, "minority": _minority,
    "majorities-ring": _ring, "bridge": _bridge, "one-way": _one_way, "leader-alone": _leader,
    "clients-from-nodes": _clients, "zone-from-zone": _zones, BY_HAND: _by_hand,
}  # fmt: skip
_BARE = {
    "all-from-all": "cut every node off from every other",
    "halves": "cut the nodes into two halves",
    "one-alone": "cut one node off from the others",
    "minority": "cut a minority off from the majority",
    "majorities-ring": "let every node see another majority",
    "bridge": "cut the nodes into two halves that share a bridge",
    "one-way": "lose what one node sends to the others",
    "leader-alone": "cut the leader off from the others",
    "clients-from-nodes": "cut all nodes off from clients",
}
_LINES = {
    "one-alone": "cut {} off from the others",
    "bridge": "cut the nodes into two halves with {} as their bridge",
    "one-way": "lose what {} sends to the others",
    "clients-from-nodes": "cut {} off from clients",
    "zone-from-zone": "cut the zone {} off from the other nodes",
}


def _arrow(link: str) -> str:
    return _ARROW.findall(link)[0]  # type: ignore[no-any-return]  # findall gives texts: no groups


def _sides(link: str) -> list[list[str]]:
    return [side.replace(",", " ").split() for side in _ARROW.split(link)]


def separate(words: Sequence[str]) -> list[str]:
    """The single links among `words`: one in each, or all of them in one line with semicolons between them."""
    if all(_ARROW.search(word) and len(word) > 3 and ";" not in word for word in words):
        return list(words)
    return [link.strip() for link in " ".join(words).split(";") if link.strip()]


def _tidy(link: str) -> str:
    """A link as it is written; raises ValueError where it is none."""
    sides = _sides(link)
    if len(sides) != 2 or not all(sides):
        raise ValueError(f"{link!r} is not a link; write it like n1 -> n2 or n1 <-> n2")
    return f" {_arrow(link)} ".join(", ".join(side) for side in sides)


def arrows(link: str) -> str:
    """A link as people read it: `n1 → n2`."""
    signs = {"<->": "↔", "->": "→", "<-": "←"}
    return _ARROW.sub(lambda found: signs[found[0]], link)


def in_one_line(links: Sequence[str]) -> str:
    """Links as they stand in a form's field; `read` takes it, also after it was split into words."""
    return "; ".join(separate(links))


def topology_of(fault: Any) -> Topology | None:
    """What a fault cuts, where it cuts links; of a partition without a topology, those that its nodes have."""
    if not hasattr(fault, "topology"):
        return None
    if fault.topology or fault.links:
        return Topology.read(fault.topology, fault.links)
    arrow = {"to-node": "->", "from-node": "<-"}.get(getattr(fault, "direction", ""), "<->")
    whom = {"peers": [REST], "all": [CLIENTS, REST]}.get(getattr(fault, "between", ""), [CLIENTS])
    return Topology(BY_HAND, (), tuple(f"{other} {arrow} {', '.join(fault.nodes)}" for other in whom))


def by_link(cuts: Cuts) -> list[tuple[str, str, bool]]:
    """(from, to, both ways) for each cut link, in order of names; a link cut both ways is there once."""
    return sorted((a, b, (b, a) in cuts) for a, b in cuts if (b, a) not in cuts or a < b)


def of(cuts: Cuts) -> Topology:
    """These very links, picked by hand."""
    found = by_link(cuts)
    return Topology(BY_HAND, (), tuple(f"{a} {'<->' if both else '->'} {b}" for a, b, both in found))
