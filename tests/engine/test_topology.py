import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import BadInput, Refused
from engine.faults.kill import Kill
from engine.faults.partition import Partition
from engine.parameters import build
from engine.target import Node, Target
from engine.topology import BY_HAND, CLIENTS, KINDS, Cuts, Topology, by_link, in_one_line, of, topology_of

SIZES = st.integers(3, 40)
SEEDS = st.integers(0, 1000)


def service(size: int, *tags: str) -> Target:
    """`size` nodes; the first of them are tagged with `tags`, one each."""
    return Target(
        "s", tuple(Node(f"n{i}", f"127.0.0.1:{i}", tags=tags[i - 1 : i]) for i in range(1, size + 1))
    )


def cut(text: str, target: Target, leader: str | None = None, seed: int = 0) -> Cuts:
    return Topology.read(text).cuts(target, leader, random.Random(seed))


def by_hand(target: Target, *links: str) -> Cuts:
    return Topology.read("", links).cuts(target, None, random.Random(0))


def seen_by(name: str, target: Target, cuts: Cuts) -> frozenset[str]:
    """The nodes, itself among them, that can send to `name`."""
    return frozenset(n.name for n in target.nodes if (n.name, name) not in cuts)


def views(target: Target, cuts: Cuts) -> list[frozenset[str]]:
    return [seen_by(node.name, target, cuts) for node in target.nodes]


@given(SIZES, SEEDS)
def test_in_a_majorities_ring_every_node_sees_a_majority_and_no_two_the_same(size: int, seed: int) -> None:
    target = service(size)
    found = views(target, cut("majorities-ring", target, seed=seed))
    assert len(set(found)) == size
    assert sorted({len(view) for view in found})[0] == size // 2 + 1
    assert sum(len(view) for view in found) <= size * (size // 2 + 1) + 1, (
        "no majority larger than it must be"
    )


def test_three_nodes_in_a_ring_are_a_chain_with_one_link_cut() -> None:
    assert len(by_link(cut("majorities-ring", service(3)))) == 1


@given(SIZES, SEEDS)
def test_halves_differ_by_one_node_at_most(size: int, seed: int) -> None:
    target = service(size)
    found = set(views(target, cut("halves", target, seed=seed)))
    assert sorted(map(len, found)) in ([size // 2], [size // 2, size - size // 2])


@given(SIZES, SEEDS)
def test_a_bridge_sees_all_and_the_others_see_their_half_and_it(size: int, seed: int) -> None:
    target = service(size)
    cuts = cut("bridge n2", target, seed=seed)
    assert len(seen_by("n2", target, cuts)) == size
    others = {seen_by(n.name, target, cuts) for n in target.nodes if n.name != "n2"}
    assert len(others) == 2
    assert frozenset.intersection(*others) == {"n2"}


@given(SIZES, SEEDS)
def test_a_minority_is_the_largest_that_is_none(size: int, seed: int) -> None:
    target = service(size)
    few, many = sorted(set(views(target, cut("minority", target, seed=seed))), key=len)
    assert len(few) == (size - 1) // 2 < size / 2 < len(many)


@given(SIZES, SEEDS, st.sampled_from([k for k in KINDS if k not in ("one-way", BY_HAND)]))
def test_what_is_not_one_way_is_cut_both_ways(size: int, seed: int, kind: str) -> None:
    text = f"{kind} a b" if kind == "zone-from-zone" else kind
    cuts = cut(text, service(size, "a", "b"), "n1", seed)
    assert {(b, a) for a, b in cuts} == cuts
    assert not [pair for pair in cuts if pair[0] == pair[1]]


@given(SIZES, SEEDS, st.sampled_from(list(KINDS)))
def test_the_same_dice_cut_the_same_links(size: int, seed: int, kind: str) -> None:
    topology = Topology(kind, ("a",) if kind == "zone-from-zone" else (), ("n1 -> n2",) * (kind == BY_HAND))
    target = service(size, "a")
    assert topology.cuts(target, "n1", random.Random(seed)) == topology.cuts(
        target, "n1", random.Random(seed)
    )


def test_one_way_is_one_way() -> None:
    assert cut("one-way n1 n2", service(3)) == {("n1", "n3"), ("n2", "n3")}


def test_the_leader_alone_is_the_one_who_leads() -> None:
    assert {pair for link in by_link(cut("leader-alone", service(3), "n2")) for pair in link[:2]} == {
        "n1", "n2", "n3",
    }  # fmt: skip
    assert seen_by("n2", service(3), cut("leader-alone", service(3), "n2")) == {"n2"}


def test_all_from_all_leaves_each_node_to_itself_and_clients_reach_all() -> None:
    cuts = cut("all-from-all", service(4))
    assert set(map(len, views(service(4), cuts))) == {1}
    assert CLIENTS not in {name for pair in cuts for name in pair}


def test_clients_are_cut_from_the_nodes_that_are_named() -> None:
    assert cut("clients-from-nodes n2", service(3)) == {(CLIENTS, "n2"), ("n2", CLIENTS)}
    assert len(cut("clients-from-nodes", service(3))) == 6


def test_zones_are_tags() -> None:
    target = service(4, "a", "b", "a")
    assert by_link(cut("zone-from-zone a b", target)) == [("n1", "n2", True), ("n2", "n3", True)]
    assert len(by_link(cut("zone-from-zone a", target))) == 4


def test_links_picked_by_hand_are_cut_as_they_point() -> None:
    target = service(4)
    assert by_hand(target, "n1 -> n2") == {("n1", "n2")} == by_hand(target, "n2 <- n1")
    assert by_hand(target, "n1,n2 <-> n3", "clients->n4") == {
        ("n1", "n3"), ("n3", "n1"), ("n2", "n3"), ("n3", "n2"), (CLIENTS, "n4"),
    }  # fmt: skip


@given(
    SIZES, SEEDS, st.sampled_from(["halves", "bridge", "majorities-ring", "one-way", "clients-from-nodes"])
)
def test_what_was_drawn_can_be_picked_by_hand(size: int, seed: int, kind: str) -> None:
    target = service(size)
    cuts = cut(kind, target, seed=seed)
    same = of(cuts)
    assert Topology.read(same.text(), same.links) == same
    assert by_hand(target, *same.links) == cuts


@pytest.mark.parametrize("text", ["halves", "one-way n1 n2", "one-alone n3", "zone-from-zone a b", "bridge"])
def test_what_it_writes_it_reads(text: str) -> None:
    assert Topology.read(text).text() == text


@pytest.mark.parametrize(
    "words",
    [
        ["n1 -> n2", "n2, n3 <-> n4"],
        ["n1 -> n2; n2, n3 <-> n4"],
        ["n1", "->", "n2;", "n2,", "n3", "<->", "n4"],
    ],
)
def test_links_stand_in_a_list_or_in_one_line(words: list[str]) -> None:
    assert Topology.read("", words).links == ("n1 -> n2", "n2, n3 <-> n4")
    assert in_one_line(words) == "n1 -> n2; n2, n3 <-> n4"


def test_a_partition_says_which_links_it_cuts() -> None:
    def cuts(**given: Any) -> list[tuple[str, str, bool]]:
        topology = topology_of(build(Partition, given))
        assert topology is not None
        return by_link(topology.example(service(3)))

    assert cuts(nodes="n2") == [(CLIENTS, "n2", True)]
    assert cuts(nodes="n2", direction="from-node") == [("n2", CLIENTS, False)]
    assert cuts(topology="one-way n1 n2") == [("n1", "n3", False), ("n2", "n3", False)]
    assert cuts(links=["n1 -> n2"]) == [("n1", "n2", False)]
    with pytest.raises(BadInput, match="no topology 'rings'"):
        build(Partition, {"topology": "rings"})
    assert topology_of(Kill()) is None


@pytest.mark.parametrize(
    ("text", "links", "part"),
    [
        ("rings", [], "no topology 'rings'; there are: all-from-all"),
        ("halves n1", [], "takes nothing after it"),
        ("one-alone n1 n2", [], "takes which node after it"),
        ("halves", ["n1 -> n2"], "leave the links out"),
        ("", [], "no link is named"),
        ("zone-from-zone", [], "names one tag or two"),
        ("", ["n1 n2"], "'n1 n2' is not a link"),
        ("", ["-> n2"], "is not a link"),
        ("", ["n1 -> n2 -> n3"], "is not a link"),
    ],
)
def test_what_is_none_is_said_in_words(text: str, links: list[str], part: str) -> None:
    with pytest.raises(ValueError, match=part):
        Topology.read(text, links)


@pytest.mark.parametrize(
    ("text", "size", "part"),
    [
        ("bridge", 2, "Bridge needs at least 3 nodes; s has 2 nodes"),
        ("majorities-ring", 2, "at least 3"),
        ("minority", 2, "at least 3"),
        ("all-from-all", 1, "at least 2 nodes; s has 1 node"),
        ("leader-alone", 3, "Nobody leads"),
        ("one-way leader", 3, "Nobody leads"),
        ("one-alone n9", 3, "no node called 'n9'"),
        ("one-way all", 3, "cuts no link"),
        ("bridge minority", 9, "A bridge is one node"),
        ("zone-from-zone a nowhere", 3, "tagged nowhere. There are: a, b"),
        ("zone-from-zone a a", 3, "n1 would be on both sides"),
    ],
)
def test_what_cannot_be_made_is_refused_in_words(text: str, size: int, part: str) -> None:
    with pytest.raises(Refused, match=part):
        cut(text, service(size, "a", "b"))


def test_a_node_called_clients_cannot_be_told_from_the_clients() -> None:
    with pytest.raises(Refused, match="called clients"):
        cut("halves", Target("s", (Node("clients", "a:1"), Node("n2", "a:2"))))


def test_what_is_drawn_and_what_is_certain() -> None:
    target = service(3, "a")
    assert [k for k in KINDS if k != BY_HAND and Topology(k, ("a",) * (k == "zone-from-zone")).drawn(target)] == [
        "halves", "one-alone", "minority", "majorities-ring", "bridge", "one-way",
    ]  # fmt: skip
    assert not Topology.read("one-way n1").drawn(target)
    assert Topology.read("one-way minority").drawn(target)
    assert not Topology.read("", ["n1 -> leader"]).drawn(target)


@pytest.mark.parametrize("kind", KINDS)
def test_every_topology_says_what_it_does_and_shows_an_example(kind: str) -> None:
    topology = Topology(kind, ("a",) if kind == "zone-from-zone" else (), ("n1 -> n2",) * (kind == BY_HAND))
    assert topology.line()[0].islower()
    assert topology.example(service(5, "a")) == topology.example(service(5, "a"))
