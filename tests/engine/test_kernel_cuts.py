"""The kernel driver on namespaces of its own: which links are cut is asked of the nodes themselves."""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest

from engine import undo
from engine.drivers.kernel import Kernel
from engine.faults.partition import Partition
from engine.host import networks
from engine.lab.programs import ETCD
from engine.target import Node, Target
from engine.topology import Topology
from tests.kernel import ROOT, end_warden, inject
from tests.networks import Network, Space, entering, need_networks, network, reaches, seen, tables
from tests.rights import another_user
from tests.waiting import until


@pytest.mark.parametrize(
    "text",
    ["all-from-all", "halves", "one-alone", "one-way n1", "leader-alone", "clients-from-nodes n1 n3", ""],
)
def test_a_topology_cuts_exactly_its_links_and_heals_whole(
    text: str, net: Network, three: Target, state: Path
) -> None:
    links = [] if text else ["n1 -> n2", "n3 <-> n2, clients"]
    wanted = Topology.read(text, links).cuts(three, "n2", random.Random(0))
    inject(state, three, Partition(topology=text, links=links))
    everywhere = [replace(net.hub, name="clients"), *net.spaces]
    assert seen(everywhere) == wanted
    assert {healed.state for healed in undo.heal_all(state)} == {"clean"}
    assert seen(everywhere) == set()
    assert [tables(space) for space in net.spaces] == ["", "", ""]


def test_a_connection_goes_on_after_the_cut_and_loses_nothing(
    net: Network, three: Target, state: Path
) -> None:
    ear = networks.inside(net.spaces[0].path, lambda: socket.create_server((net.spaces[0].address, 9)))
    mouth = networks.inside(
        net.spaces[1].path, lambda: socket.create_connection((net.spaces[0].address, 9), 5)
    )
    other, _ = ear.accept()
    with ear, mouth, other:
        inject(state, three, Partition(links=["n2 -> n1"]))
        mouth.sendall(b"kept")
        other.settimeout(0.3)
        with pytest.raises(TimeoutError):
            other.recv(4)
        undo.heal_all(state)
        other.settimeout(10)
        assert other.recv(4) == b"kept"


def test_the_cut_ends_by_itself_in_the_kernel_when_nobody_is_left(net: Network, three: Target) -> None:
    kernel = Kernel()
    captured = kernel.capture_packets(three.nodes[0], three.nodes[1:])
    kernel.disturb_packets(captured, "alone", {"cut": True}, time.time() + 1.0)
    assert not reaches(net.spaces[1], net.spaces[0], within=0.1)
    until(lambda: reaches(net.spaces[1], net.spaces[0]), timeout=5)
    assert "chaosboard_alone" in tables(net.spaces[0])  # what is left does nothing, and is read back as left
    assert kernel.undisturbed(captured, "alone").gone is False
    kernel.undisturb_packets(captured, "alone")
    assert tables(net.spaces[0]) == ""


def test_the_warden_removes_the_rules_of_an_injector_that_was_killed(
    net: Network, three: Target, state: Path
) -> None:
    injector = subprocess.Popen(
        [sys.executable, "-c", INJECT, json.dumps(three.to_dict())], stdout=subprocess.PIPE, text=True, cwd=ROOT,
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
        assert found["faults"][0]["text"] == "n1, n2 and n3: the kernel has no rule of it any more"
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
