"""The kernel driver: packets are lost and narrowed as was said, measured from node to node."""

import socket
import threading
import time
from pathlib import Path

import pytest

from engine import drivers, undo
from engine.capabilities import Packets, Shaping
from engine.drivers.kernel import Kernel
from engine.errors import Refused
from engine.faults.bandwidth import Bandwidth
from engine.faults.loss import Loss
from engine.host import networks
from engine.target import Target
from tests.kernel import inject
from tests.networks import Network, Space, run, tables


def test_a_share_of_the_packets_is_lost_in_the_kernel(net: Network, three: Target, state: Path) -> None:
    inject(state, three, Loss(nodes=["n1"], share=0.3, between="peers"))
    count = 1000
    lost = count - arrived(net.spaces[1], net.spaces[0], count)
    undo.heal_all(state)
    assert 240 < lost < 360  # 300 ± 4 standard deviations
    assert arrived(net.spaces[1], net.spaces[0], count) == count


def arrived(sender: Space, receiver: Space, count: int) -> int:
    with (
        networks.inside(receiver.path, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as ear,
        networks.inside(sender.path, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as mouth,
    ):
        ear.bind((receiver.address, 7))
        ear.settimeout(0.3)
        ear.setsockopt(socket.SOL_SOCKET, 33, 4 << 20)
        for _ in range(count):
            mouth.sendto(b"x", (receiver.address, 7))
        got = 0
        while True:
            try:
                ear.recv(8)
            except TimeoutError:
                return got
            got += 1


def test_what_this_kernel_cannot_do_is_said(three: Target) -> None:
    name, _ = drivers.having(three.nodes[0], Packets)
    assert name == "kernel"
    if why := Kernel().cannot(Shaping):
        assert "netem is missing in this kernel" in why
        assert "link proxy" in why
        assert "netem is missing" in drivers.lacks(three.nodes[0], Shaping)


def test_a_node_is_narrowed_towards_its_peers_only_and_both_ways(
    net: Network, three: Target, state: Path
) -> None:
    one, two, last = net.spaces
    inject(state, three, Bandwidth(nodes=["n1"], rate=100_000.0, between="peers"))
    try:
        for sender, receiver in ((two, one), (one, last)):
            assert 50_000 < speed(sender, receiver, 100_000) < 150_000
        assert speed(two, last, 4_000_000) > 1_000_000
        assert speed(net.hub, one, 4_000_000) > 1_000_000
    finally:
        assert [healed.state for healed in undo.heal_all(state)] == ["clean"]
    assert speed(two, one, 4_000_000) > 1_000_000
    assert "chaosboard" not in run(one.path, "ip", "-d", "link")
    assert "htb" not in run(one.path, "tc", "qdisc")


def speed(sender: Space, receiver: Space, count: int) -> float:
    """Bytes a second, over a fresh connection."""
    server = networks.inside(receiver.path, lambda: socket.create_server((receiver.address, 9)))
    mouth = networks.inside(sender.path, lambda: socket.create_connection((receiver.address, 9), 5))
    ear, _ = server.accept()
    with server, ear:
        start = time.monotonic()
        thread = threading.Thread(target=lambda: (mouth.sendall(b"x" * count), mouth.close()))
        thread.start()
        got = 0
        while data := ear.recv(65536):
            got += len(data)
        thread.join()
        return got / (time.monotonic() - start)


def test_a_foreign_queueing_discipline_is_refused_and_left_alone(
    net: Network, three: Target, state: Path
) -> None:
    space = net.spaces[0]
    run(
        space.path,
        "tc",
        "qdisc",
        "add",
        "dev",
        "eth0",
        "root",
        "tbf",
        "rate",
        "1gbit",
        "burst",
        "1mb",
        "limit",
        "1mb",
    )
    try:
        with pytest.raises(Refused, match=r"queueing discipline already \(tbf\)"):
            inject(state, three, Bandwidth(nodes=["n1"], between="peers"))
        assert "tbf" in run(space.path, "tc", "qdisc", "show", "dev", "eth0")
        assert undo.records(state) == []
        assert tables(space) == ""
    finally:
        run(space.path, "tc", "qdisc", "del", "dev", "eth0", "root")
