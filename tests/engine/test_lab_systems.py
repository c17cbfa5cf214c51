"""Each further system of the lab, whole and real: it forms, loses a node to our kill fault, and is whole again."""

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from engine import inspect, undo
from engine.faults.kill import Kill
from engine.lab.cluster import Cluster
from engine.lab.programs import HAPROXY, MARIADB_CLIENT, NGINX, Program
from engine.lab.server import Server
from engine.lab.systems import System
from engine.lab.systems.ceph_mon import CephMon
from engine.lab.systems.grpc import Grpc
from engine.lab.systems.http import Http
from engine.lab.systems.mariadb import Mariadb
from engine.lab.systems.nats import Nats
from engine.lab.systems.rabbitmq import Rabbitmq
from engine.lab.systems.zookeeper import Zookeeper
from engine.probes import Reading
from engine.probes.http import Http as Probe
from engine.target import Node, Target
from tests.waiting import until

pytestmark = pytest.mark.systems
BALANCERS = {"haproxy": HAPROXY, "nginx": NGINX}


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CHAOSBOARD_STATE", str(tmp_path))
    return tmp_path


def need(missing: list[Program]) -> None:
    if missing and os.environ.get("CI") == "true":
        pytest.fail(f"{missing[0].name} is missing: {missing[0].remedy}")
    if missing:
        pytest.skip(f"{missing[0].name} is not on this machine: {missing[0].remedy}")


@contextmanager
def up(system: System) -> Iterator[Cluster]:
    need(system.missing())
    folder = Path(tempfile.mkdtemp(prefix="chaosboard-lab-", dir="/tmp"))  # short: sockets are made in it
    cluster = Cluster(system, folder)
    try:
        cluster.start(120)
        yield cluster
    finally:
        cluster.stop()
        assert cluster.processes() == []
        shutil.rmtree(folder)


def kill(target: Target, name: str, state: Path) -> undo.UndoRecord:
    return undo.inject(state, undo.prepare(state, "r", "f0", "kill", Kill(), target.node(name), 60))


@pytest.mark.parametrize(
    "system", [Nats(), Zookeeper(), CephMon(), Rabbitmq()], ids=lambda s: type(s).__name__
)
def test_it_elects_another_leader_when_its_leader_is_killed_and_is_whole_when_it_is_back(
    system: System, state: Path
) -> None:
    with up(system) as cluster:
        target = Target.from_dict(cluster.document())
        until(lambda: inspect.leader(target))
        first = str(inspect.leader(target))
        record = kill(target, first, state)
        until(lambda: inspect.leader(target) not in (None, first))
        assert undo.heal(state, record.id).state == "clean"
        until(cluster.ready, 60)


@pytest.mark.parametrize(
    ("balancer", "algorithm"), [("haproxy", "roundrobin"), ("haproxy", "random"), ("nginx", "hash")]
)
def test_a_balancer_asks_every_node_and_none_that_is_dead(balancer: str, algorithm: str, state: Path) -> None:
    need([BALANCERS[balancer]] if not BALANCERS[balancer].find() else [])
    with up(Http(balancer=balancer, algorithm=algorithm)) as cluster:
        assert served_by(cluster.nodes[0]) == {"n1", "n2", "n3"}
        record = kill(Target.from_dict(cluster.document("backends")), "n2", state)
        until(lambda: served_by(cluster.nodes[0]) == {"n1", "n3"})
        assert undo.heal(state, record.id).state == "clean"
        until(lambda: served_by(cluster.nodes[0]) == {"n1", "n2", "n3"})


def served_by(balancer: Server) -> set[str]:
    """Who answers one or another of many pages; "" for an error of the balancer itself."""
    with httpx.Client(base_url=f"http://{balancer.address}", trust_env=False) as client:
        answers = [client.get(f"/kv/{number}") for number in range(60)]
    return {answer.headers.get("X-Served-By", "") for answer in answers}


@pytest.mark.parametrize("balancer", list(BALANCERS))
def test_the_probe_of_a_balanced_service_tells_who_answered(balancer: str) -> None:
    need([BALANCERS[balancer]] if not BALANCERS[balancer].find() else [])
    with up(Http(balancer=balancer)) as cluster:
        service = Target.from_dict(cluster.document())
        # a balancer leaves out for seconds who was late to come up
        until(
            lambda: {r.by for r in asyncio.run(looks(Probe(), service.nodes[0], 6))} == {"n1", "n2", "n3"}, 30
        )
        readings = asyncio.run(looks(Probe(), service.nodes[0], 30))
        assert all(reading.ok for reading in readings)
        told = Counter(reading.by for reading in readings)
        assert told.keys() == {"n1", "n2", "n3"}
        assert min(told.values()) >= 8  # others ask as well: the one who waits until it is ready
        assert {r.by for r in asyncio.run(looks(Probe(served_by=""), service.nodes[0], 3))} == {""}


async def looks(probe: Probe, node: Node, count: int) -> list[Reading]:
    session = probe.session(node)
    try:
        return [await session.look() for _ in range(count)]
    finally:
        await session.close()


@pytest.mark.parametrize("balancer", list(BALANCERS))
def test_a_grpc_service_goes_on_behind_its_balancer_when_a_node_is_killed(balancer: str, state: Path) -> None:
    need([BALANCERS[balancer]] if not BALANCERS[balancer].find() else [])
    with up(Grpc(balancer=balancer)) as cluster:
        service = Target.from_dict(cluster.document())
        record = kill(Target.from_dict(cluster.document("backends")), "n1", state)
        until(lambda: [node.reachable for node in inspect.check(service).nodes] == [True])
        assert undo.heal(state, record.id).state == "clean"
        until(cluster.ready)


def test_mariadb_replicas_have_what_the_primary_was_told_also_after_they_were_killed(state: Path) -> None:
    with up(Mariadb(nodes=2)) as cluster:
        primary, replica = cluster.nodes
        tell(primary, "CREATE TABLE lab.numbers (number int); INSERT INTO lab.numbers VALUES (1)")
        until(lambda: tell(replica, "SELECT number FROM lab.numbers") == "1\n")
        record = kill(Target.from_dict(cluster.document()), replica.name, state)
        tell(primary, "UPDATE lab.numbers SET number = 2")
        assert undo.heal(state, record.id).state == "clean"
        until(lambda: tell(replica, "SELECT number FROM lab.numbers") == "2\n")


def tell(node: Server, query: str) -> Any:
    argv = [
        MARIADB_CLIENT.get(),
        "--no-defaults",
        "-h",
        node.host,
        "-P",
        str(node.port),
        "-uroot",
        "-N",
        "-e",
        query,
    ]
    return subprocess.run(argv, capture_output=True, text=True).stdout
