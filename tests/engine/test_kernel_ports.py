"""The kernel driver: cuts of single ports, and what a sender hears of them."""

import errno
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from engine import drivers, undo
from engine.capabilities import Filter
from engine.errors import Refused
from engine.experiment import Experiment
from engine.faults.partition import Partition
from engine.host import networks
from engine.plan import problems_of
from engine.target import Node, Target
from tests.kernel import inject
from tests.networks import Network, Space, reaches, tables
from tests.waiting import until

SERVE = """
import select, socket
servers = [socket.create_server(("", port)) for port in (2379, 2380)]
kept = []
while True:
    kept += [one.accept() for one in select.select(servers, [], [])[0]]
"""


@pytest.fixture(scope="module")
def members(net: Network) -> Target:
    """A server of each at 2379, where clients come, and 2380, where the others do."""
    started = [net.start(space, sys.executable, "-c", SERVE) for space in net.spaces]
    until(lambda: all(networks.listening([one.pid], one.pid) == [2379, 2380] for one in started))
    nodes = [
        Node(space.name, f"{space.address}:2379", control="process", control_params={"pid": one.pid})
        for space, one in zip(net.spaces, started, strict=True)
    ]
    return Target("members", tuple(nodes))


@pytest.fixture(autouse=True)
def healed(state: Path) -> Iterator[None]:
    yield
    undo.heal_all(state)


def opens(sender: Space, receiver: Space, port: int) -> str:
    """ "yes", or how a connection failed: "silence" or the name of an error."""
    try:
        there = (receiver.address, port)
        networks.inside(sender.path, lambda: socket.create_connection(there, 0.3)).close()
    except TimeoutError:
        return "silence"
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "yes"


def test_members_are_parted_at_one_port_and_reach_each_other_at_the_other(
    net: Network, members: Target, state: Path
) -> None:
    one, two, three = net.spaces
    fault = Partition(links=["n1 <-> n2"], ports=["2380"])
    assert fault.announced(members) == "cut n1 ↔ n2 at port 2380"
    inject(state, members, fault)
    assert [opens(two, one, 2380), opens(one, two, 2380)] == ["silence", "silence"]
    ways = [(two, one, 2379), (one, two, 2379), (three, one, 2380), (two, three, 2380), (net.hub, one, 2380)]
    assert [opens(*way) for way in ways] == ["yes"] * len(ways)
    assert reaches(two, one)
    assert "tcp dport 2380" in tables(one)
    assert [found.text for found in undo.heal_all(state)] == ["the kernel has no rule of it any more"] * 2
    assert [opens(two, one, 2380), opens(one, two, 2380)] == ["yes", "yes"]
    assert [tables(space) for space in net.spaces] == ["", "", ""]


def test_clients_are_cut_from_one_port_and_members_are_not(
    net: Network, members: Target, state: Path
) -> None:
    one, two, _ = net.spaces
    inject(state, members, Partition(nodes=["n1"], ports=["2379"]))
    assert [opens(net.hub, one, 2379), opens(net.hub, one, 2380)] == ["silence", "yes"]
    assert [opens(two, one, 2379), opens(net.hub, two, 2379)] == ["yes", "yes"]


def test_one_way_of_one_port_is_one_way(net: Network, members: Target, state: Path) -> None:
    one, two, _ = net.spaces
    inject(state, members, Partition(links=["n1 -> n2"], ports=["2380"]))
    assert not reaches(one, two, 2380, within=0.1)
    assert reaches(two, one, 2380)
    assert reaches(one, two, 2381)


@pytest.mark.parametrize(
    ("answer", "heard", "told"),
    [("silence", "silence", TimeoutError), ("reset", "ECONNREFUSED", ConnectionResetError),
     ("unreachable", "EHOSTUNREACH", TimeoutError)],
)  # fmt: skip
def test_a_sender_hears_what_was_asked(
    answer: str, heard: str, told: type[Exception], net: Network, members: Target, state: Path
) -> None:
    one, two, _ = net.spaces
    mouth = networks.inside(two.path, lambda: socket.create_connection((one.address, 2380), 5))
    with mouth:
        inject(state, members, Partition(links=["n1 <-> n2"], ports=["2380"], answer=answer))
        assert [opens(two, one, 2380), opens(one, two, 2380)] == [heard, heard]
        mouth.settimeout(0.3)
        mouth.send(b"?")
        with pytest.raises(told):
            mouth.recv(1)
    assert opens(two, one, 2379) == "yes"


def test_a_whole_link_is_answered_too(net: Network, members: Target, state: Path) -> None:
    one, two, three = net.spaces
    inject(state, members, Partition(links=["n1 <-> n2"], answer="reset"))
    assert [opens(two, one, 2379), opens(one, two, 2380), opens(three, one, 2379)] == [
        "ECONNREFUSED", "ECONNREFUSED", "yes",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (Partition(nodes=["n1"], ports=["2390"]), "Nothing of n1 is at port 2390, so nothing would be cut. It is at"),
        (Partition(links=["n1 <-> n2"], ports=["2380", "2390"]), "Nothing of n. is at port 2390"),
    ],
)  # fmt: skip
def test_a_port_at_which_nobody_is_is_refused_before_anything_is_cut(
    fault: Partition, why: str, net: Network, members: Target, state: Path
) -> None:
    with pytest.raises(Refused, match=why):
        fault.rehearse(members)
    with pytest.raises(Refused, match=why):
        inject(state, members, fault)
    assert undo.records(state) == []
    assert [tables(space) for space in net.spaces] == ["", "", ""]


def test_a_port_that_keeps_the_host_reachable_is_refused(net: Network, members: Target, state: Path) -> None:
    environ = {**os.environ, "CHAOSBOARD_PART": "broker"}
    part = net.start(
        net.spaces[0], sys.executable, "-c", SERVE.replace("(2379, 2380)", "(6379,)"), env=environ
    )
    until(lambda: networks.listening([part.pid], part.pid) == [6379])
    try:
        with pytest.raises(
            Refused, match="Port 6379 keeps this host or chaosboard reachable; it is never cut"
        ):
            inject(state, members, Partition(nodes=["n1"], ports=["6379"]))
    finally:
        part.kill()
        part.wait()


def test_a_link_proxy_and_a_driver_without_processes_refuse_ports_in_words() -> None:
    lonely = Target("links", (Node("n1", "127.0.0.1:1", upstream="127.0.0.1:2"),))
    assert drivers.lacks(lonely.nodes[0], Partition().wants()) == ""
    why = drivers.lacks(lonely.nodes[0], Filter)
    assert why.startswith(
        "Single ports of n1 are cut, and what is cut is answered, only by the kernel of its host"
    )
    document = {
        "name": "x", "target": "links", "targets": [lonely.to_dict()],
        "steady_state": [{"probe": {"tcp": {}}, "every": "1s", "tolerance": {"availability": ">= 1%"}}],
        "faults": [{"at": "0s", "for": "1s", "partition": {"nodes": "all", "answer": "reset"}}],
    }  # fmt: skip
    assert why in [problem.message for problem in problems_of(Experiment.from_dict(document), lonely)]


def test_what_is_no_port_is_said() -> None:
    with pytest.raises(ValueError, match="'ssh' is no port"):
        Partition(ports=["22", "ssh"])
    assert Partition(ports=["2380, 2379"]).packets()["ports"] == [2379, 2380]
    with suppress(ValueError):
        Partition(answer="reset", ports=["0"])
        pytest.fail("port 0 is none")
