from engine.links import rows, ways
from engine.target import Node, Target
from engine.topology import CLIENTS

PLAIN = Node("n1", "127.0.0.1:7001")
PROXIED = Node("n2", "127.0.0.1:7002", upstream="127.0.0.1:17002")
THREE = Target("s", (PLAIN, PROXIED, Node("n3", "127.0.0.1:7003")))


def test_every_link_is_there_once_and_each_way_for_itself() -> None:
    found = rows(THREE, frozenset({("n1", "n2")}))
    assert [(row.one, row.other) for row in found] == [
        (CLIENTS, "n1"), (CLIENTS, "n2"), (CLIENTS, "n3"), ("n1", "n2"), ("n1", "n3"), ("n2", "n3"),
    ]  # fmt: skip
    assert [(row.cut_there, row.cut_back) for row in found if row.cut_there or row.cut_back] == [
        (True, False)
    ]
    assert len(ways(THREE)) == 12


def test_what_clients_send_to_a_node_with_an_upstream_can_be_cut_by_the_link_proxy() -> None:
    found = ways(THREE)
    assert found[CLIENTS, "n2"].by == found["n2", CLIENTS].by == "link proxy of n2"


def test_what_nothing_can_cut_says_why() -> None:
    found = ways(THREE)
    assert found[CLIENTS, "n1"].by == "" != found[CLIENTS, "n1"].why
    assert "upstream" in found[CLIENTS, "n1"].why
    assert found["n1", "n2"].by == "" != found["n1", "n2"].why
