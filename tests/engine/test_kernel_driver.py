"""The kernel driver on namespaces of its own: what comes through is asked of the nodes themselves, and the
rules are read from nftables."""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine import drivers, undo
from engine.capabilities import Packets, Shaping
from engine.drivers.kernel import Kernel
from engine.errors import Refused
from engine.faults import Fault
from engine.faults.bandwidth import Bandwidth
from engine.faults.loss import Loss
from engine.faults.partition import Partition
from engine.host import networks, nft, shaping, sweeping
from engine.lab.programs import ETCD
from engine.target import Node, Target
from engine.topology import Topology
from tests.networks import Network, Space, entering, need_networks, network, reaches, run, seen, tables
from tests.rights import another_user
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]
SERVE = "import socket; s = socket.create_server(('', 80)); [s.accept() for _ in iter(int, 1)]"
UP_TO = 30.0


@pytest.fixture(scope="module")
def net() -> Iterator[Network]:
    need_networks()
    with network(3) as found:
        yield found


@pytest.fixture(scope="module")
def target(net: Network) -> Target:
    victims = [net.start(space, sys.executable, "-c", SERVE) for space in net.spaces]
    until(lambda: all(networks.listening([one.pid], one.pid) == [80] for one in victims))
    nodes = [
        Node(space.name, f"{space.address}:80", control="process", control_params={"pid": one.pid})
        for space, one in zip(net.spaces, victims, strict=True)
    ]
    return Target("three", tuple(nodes))


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CHAOSBOARD_STATE", str(tmp_path))
    return tmp_path


def inject(state: Path, target: Target, fault: Fault, name: str = "partition") -> list[undo.UndoRecord]:
    """As a run does: aimed once, and a record for each node."""
    aim = fault.aim(target, "n2", random.Random(0))
    records = [
        undo.prepare(state, "r", "f0", name, piece.fault, piece.node, UP_TO, peers=piece.peers)
        for piece in aim.pieces
    ]
    return [undo.inject(state, record) for record in records]


@pytest.mark.parametrize(
    "text",
    ["all-from-all", "halves", "one-alone", "one-way n1", "leader-alone", "clients-from-nodes n1 n3", ""],
)
def test_a_topology_cuts_exactly_its_links_and_heals_whole(
    text: str, net: Network, target: Target, state: Path
) -> None:
    links = [] if text else ["n1 -> n2", "n3 <-> n2, clients"]
    wanted = Topology.read(text, links).cuts(target, "n2", random.Random(0))
    inject(state, target, Partition(topology=text, links=links))
    everywhere = [replace(net.hub, name="clients"), *net.spaces]
    assert seen(everywhere) == wanted
    assert {healed.state for healed in undo.heal_all(state)} == {"clean"}
    assert seen(everywhere) == set()
    assert [tables(space) for space in net.spaces] == ["", "", ""]


def test_a_connection_goes_on_after_the_cut_and_loses_nothing(
    net: Network, target: Target, state: Path
) -> None:
    ear = networks.inside(net.spaces[0].path, lambda: socket.create_server((net.spaces[0].address, 9)))
    mouth = networks.inside(
        net.spaces[1].path, lambda: socket.create_connection((net.spaces[0].address, 9), 5)
    )
    other, _ = ear.accept()
    with ear, mouth, other:
        inject(state, target, Partition(links=["n2 -> n1"]))
        mouth.sendall(b"kept")
        other.settimeout(0.3)
        with pytest.raises(TimeoutError):
            other.recv(4)
        undo.heal_all(state)
        other.settimeout(10)
        assert other.recv(4) == b"kept"


def test_a_share_of_the_packets_is_lost_in_the_kernel(net: Network, target: Target, state: Path) -> None:
    inject(state, target, Loss(nodes=["n1"], share=0.3, between="peers"), "loss")
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


def test_the_cut_ends_by_itself_in_the_kernel_when_nobody_is_left(net: Network, target: Target) -> None:
    kernel = Kernel()
    captured = kernel.capture_packets(target.nodes[0], target.nodes[1:])
    kernel.disturb_packets(captured, "alone", {"cut": True}, time.time() + 1.0)
    assert not reaches(net.spaces[1], net.spaces[0], within=0.1)
    until(lambda: reaches(net.spaces[1], net.spaces[0]), timeout=5)
    assert "chaosboard_alone" in tables(net.spaces[0])  # what is left does nothing, and is read back as left
    assert kernel.undisturbed(captured, "alone").gone is False
    kernel.undisturb_packets(captured, "alone")
    assert tables(net.spaces[0]) == ""


def test_the_warden_removes_the_rules_of_an_injector_that_was_killed(
    net: Network, target: Target, state: Path
) -> None:
    injector = subprocess.Popen(
        [sys.executable, "-c", INJECT, json.dumps(target.to_dict())], stdout=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    assert injector.stdout is not None
    assert injector.stdout.readline() == "hurt\n"
    assert not reaches(net.spaces[0], net.spaces[1], within=0.1)
    injector.send_signal(signal.SIGKILL)
    injector.wait()
    until(lambda: [tables(space) for space in net.spaces] == ["", "", ""], timeout=15)
    assert reaches(net.spaces[0], net.spaces[1])
    until(lambda: undo.records(state) == [])
    end_warden(state)


INJECT = """
import json, random, sys, time
from engine import undo, warden, state
from engine.faults.partition import Partition
from engine.target import Target
target = Target.from_dict(json.loads(sys.argv[1]))
warden.ensure(state.root())
fault = Partition(topology="all-from-all")
for piece in fault.aim(target, None, random.Random(0)).pieces:
    undo.inject(state.root(), undo.prepare(
        state.root(), "r", "f0", "partition", piece.fault, piece.node, 600, peers=piece.peers))
print("hurt", flush=True)
time.sleep(600)
"""


def end_warden(state: Path) -> None:
    import psutil

    for process in psutil.process_iter(["cmdline"]):
        if "warden" in (line := process.info["cmdline"] or []) and str(state) in line:
            process.terminate()
            process.wait(10)


def test_rules_and_queues_whose_record_is_lost_are_swept_when_their_time_is_over(
    net: Network, target: Target, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "REST", 0.2)
    kernel, records = Kernel(), {"kept"}
    captured = kernel.capture_packets(target.nodes[0], target.nodes[1:])
    space = net.spaces[0]
    for mark, seconds in (("lost", 1.0), ("kept", 1.0), ("lasts", 60.0)):
        kernel.disturb_packets(captured, mark, {"cut": True}, time.time() + seconds)
    networks.inside(space.path, lambda: nft.order("add table inet chaosboard_theirs"))
    sweeper = sweeping.Sweeper(lambda mark: mark in records)
    try:
        until(lambda: sweeper.sweep() == ["lost"], timeout=15)
        left = tables(space)
        assert "chaosboard_lost" not in left
        assert all(f"chaosboard_{name}" in left for name in ("kept", "lasts", "theirs"))
    finally:
        networks.inside(space.path, lambda: nft.order("delete table inet chaosboard_theirs"))
        for mark in ("kept", "lasts"):
            kernel.undisturb_packets(captured, mark)
    assert tables(space) == ""


def test_a_device_of_ours_without_rules_is_swept(
    net: Network, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "REST", 0.2)
    space = net.spaces[0]
    networks.inside(space.path, lambda: shaping.make("half", {"rate": 100_000.0}))
    sweeper = sweeping.Sweeper(lambda mark: False)
    until(lambda: sweeper.sweep() == ["half"], timeout=15)
    assert networks.inside(space.path, lambda: shaping.left("half")) == []


def test_what_the_board_itself_uses_is_spared_by_address_and_refused_as_a_victim(
    net: Network, target: Target, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", f"redis://{net.hub.address}/0")  # its usual port is meant
    kernel = Kernel()
    captured = kernel.capture_packets(target.nodes[0], target.nodes[1:])
    assert captured["endpoints"] == [(net.hub.address, 6379)]
    server = networks.inside(net.hub.path, lambda: socket.create_server((net.hub.address, 6379)))
    inject(state, target, Partition(nodes=["n1"], between="all"))
    try:
        with server:
            there = (net.hub.address, 6379)
            networks.inside(net.spaces[0].path, lambda: socket.create_connection(there, 5)).close()
        assert not reaches(net.spaces[0], net.hub, within=0.1)
    finally:
        undo.heal_all(state)
    monkeypatch.setenv("DATABASE_URL", f"postgres://u:p@{net.spaces[0].address}:80/board")
    with pytest.raises(Refused, match="never cuts the branch it sits on"):
        kernel.capture_packets(target.nodes[0], target.nodes[1:])
    monkeypatch.setenv("DATABASE_URL", "postgres://nowhere.invalid/board")
    with pytest.raises(Refused, match="chaosboard's own DATABASE_URL, is not known"):
        kernel.capture_packets(target.nodes[0], target.nodes[1:])


def test_a_foreign_table_of_our_name_is_refused_and_left_alone(net: Network, target: Target) -> None:
    kernel, space = Kernel(), net.spaces[0]
    captured = kernel.capture_packets(target.nodes[0], target.nodes[1:])
    networks.inside(space.path, lambda: nft.order("add table inet chaosboard_theirs"))
    try:
        with pytest.raises(Refused, match="did not make"):
            kernel.disturb_packets(captured, "theirs", {"cut": True}, time.time() + 10)
        kernel.undisturb_packets(captured, "theirs")
        assert "chaosboard_theirs" in tables(space)
        assert kernel.undisturbed(captured, "theirs").gone is None
    finally:
        networks.inside(space.path, lambda: nft.order("delete table inet chaosboard_theirs"))


def test_a_network_that_is_gone_took_its_rules_along(state: Path) -> None:
    need_networks()
    with network(1) as small:
        victim = small.start(small.spaces[0], "sleep", "600")
        until(lambda: networks.elsewhere(victim.pid))
        node = Node("n1", "10.77.0.1:80", control="process", control_params={"pid": victim.pid})
        records = inject(state, Target("one", (node,)), Partition(nodes=["n1"], between="all"))
    [healed] = undo.heal_all(state)
    assert healed.record.id == records[0].id
    assert (healed.state, healed.text) == ("clean", "the network of n1 is gone, and its rules with it")


def test_ports_that_keep_the_host_reachable_are_never_cut(net: Network, target: Target, state: Path) -> None:
    space = net.spaces[0]
    environ = {**os.environ, "CHAOSBOARD_PART": "broker"}
    part = net.start(space, sys.executable, "-c", SERVE.replace("80", "6379"), env=environ)
    until(lambda: networks.listening([part.pid], part.pid) == [6379])
    inject(state, target, Partition(nodes=["n1"], between="all"))
    try:
        assert not reaches(net.hub, space, within=0.1)
        networks.inside(net.hub.path, lambda: socket.create_connection((space.address, 6379), 5)).close()
    finally:
        undo.heal_all(state)
        os.killpg(part.pid, signal.SIGKILL)


def test_what_this_kernel_cannot_do_is_said(target: Target) -> None:
    name, _ = drivers.having(target.nodes[0], Packets)
    assert name == "kernel"
    if why := Kernel().cannot(Shaping):
        assert "netem is missing in this kernel" in why
        assert "link proxy" in why
        assert "netem is missing" in drivers.lacks(target.nodes[0], Shaping)


def test_nodes_that_share_a_network_are_told_apart_by_their_ports_or_not_at_all(tmp_path: Path) -> None:
    need_networks()
    done = subprocess.run(
        ["unshare", "--net", sys.executable, "-m", "tests.engine.on_one_host", str(tmp_path)],
        capture_output=True, text=True, check=False, cwd=ROOT, env={**os.environ, "CHAOSBOARD_STATE": str(tmp_path)},
    )  # fmt: skip
    assert done.stdout.splitlines() == [
        "cut from clients: one False, two True", "healed: one True, two True, clean, no table",
        "rehearsed: n1 and its peers share the network of one host, at 127.0.0.1",
        "refused: n1 and its peers share the network of one host, at 127.0.0.1, no record, no table",
    ], done.stderr  # fmt: skip


def test_it_works_without_root_in_a_user_namespace(tmp_path: Path) -> None:
    need_networks()
    where = tempfile.mkdtemp(prefix="chaosboard-")
    os.chmod(where, 0o777)
    argv = [
        "unshare",
        "--user",
        "--map-root-user",
        "--net",
        sys.executable,
        "-m",
        "tests.engine.in_a_user_namespace",
    ]
    try:
        done = subprocess.run(
            [*another_user(), *argv, where], capture_output=True, text=True, check=False, cwd=ROOT,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "HOME": where},
        )  # fmt: skip
    finally:
        shutil.rmtree(where)
    assert done.stdout.splitlines() == ["cut [('n1', 'n2')]", "healed ['clean'] []", "left ['', '']"], (
        done.stderr
    )


def test_a_node_is_narrowed_towards_its_peers_only_and_both_ways(
    net: Network, target: Target, state: Path
) -> None:
    one, two, three = net.spaces
    inject(state, target, Bandwidth(nodes=["n1"], rate=100_000.0, between="peers"), "bandwidth")
    try:
        for sender, receiver in ((two, one), (one, three)):
            assert 50_000 < speed(sender, receiver, 100_000) < 150_000
        assert speed(two, three, 4_000_000) > 1_000_000
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
    net: Network, target: Target, state: Path
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
            inject(state, target, Bandwidth(nodes=["n1"], between="peers"), "bandwidth")
        assert "tbf" in run(space.path, "tc", "qdisc", "show", "dev", "eth0")
        assert undo.records(state) == []
        assert tables(space) == ""
    finally:
        run(space.path, "tc", "qdisc", "del", "dev", "eth0", "root")


def test_a_partition_of_etcd_in_namespaces_elects_another_leader(net: Network, tmp_path: Path) -> None:
    servers = [net.start(s, *etcd(s, net.spaces, tmp_path), stderr=subprocess.DEVNULL) for s in net.spaces]
    nodes = [
        {"name": s.name, "address": f"{s.address}:2379", "driver": {"process": {"pid": one.pid}}}
        for s, one in zip(net.spaces, servers, strict=True)
    ]
    document = {
        "name": "the leader alone", "target": "etcd", "targets": [{"name": "etcd", "kind": "etcd", "nodes": nodes}],
        "steady_state": [{"probe": {"etcd": {}}, "every": "50ms", "tolerance": {"availability": ">= 90%"}}],
        "baseline": "1s", "faults": [{"at": "0s", "for": "3s", "partition": {"topology": "leader-alone"}}],
        "recovery": {"timeout": "15s", "stable": "1s"},
    }  # fmt: skip
    (tmp_path / "experiment.yaml").write_text(json.dumps(document))
    until(lambda: all(networks.listening([one.pid], one.pid) == [2379, 2380] for one in servers))
    try:
        subprocess.run(
            entering(net.hub.path, sys.executable, "-m", "engine", "run", str(tmp_path / "experiment.yaml"), "--json",
                     str(tmp_path / "out.json")),
            env={**os.environ, "CHAOSBOARD_STATE": str(tmp_path / "state")}, capture_output=True, cwd=ROOT, check=False,
        )  # fmt: skip
        found = json.loads((tmp_path / "out.json").read_text())
        assert found["faults"][0]["state"] == "clean", found
        [change] = [c for c in found["leader_changes"] if c["to"]][:1]
        assert change["from"] != change["to"]
        assert [tables(space) for space in net.spaces] == ["", "", ""]
    finally:
        for one in servers:
            os.killpg(one.pid, signal.SIGKILL)
        end_warden(tmp_path / "state")


def etcd(space: Space, spaces: list[Space], folder: Path) -> list[str]:
    mine = f"http://{space.address}"
    flags = {
        "name": space.name, "data-dir": folder / space.name, "listen-client-urls": f"{mine}:2379",
        "advertise-client-urls": f"{mine}:2379", "listen-peer-urls": f"{mine}:2380",
        "initial-advertise-peer-urls": f"{mine}:2380", "heartbeat-interval": 100, "election-timeout": 1000,
        "initial-cluster": ",".join(f"{s.name}=http://{s.address}:2380" for s in spaces),
    }  # fmt: skip
    return [ETCD.get(), *(word for flag, value in flags.items() for word in (f"--{flag}", str(value)))]
