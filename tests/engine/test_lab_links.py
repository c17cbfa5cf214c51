"""Topologies on loopback, without root: each pair of nodes, by the connections that one opened to the other."""

import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any

import httpx
import psutil
import psycopg
import pytest
import yaml

from engine import inspect, owned, proxy, undo
from engine.errors import Unreachable
from engine.faults.kill import Kill
from engine.faults.partition import Partition
from engine.lab.cluster import Cluster
from engine.lab.programs import MARIADB_CLIENT
from engine.lab.server import Server
from engine.lab.systems import REGISTRY, System
from engine.lab.systems.ceph_mon import CephMon
from engine.lab.systems.etcd import Etcd
from engine.lab.systems.http import Http
from engine.lab.systems.mariadb import Mariadb
from engine.lab.systems.nats import Nats
from engine.lab.systems.postgres import Postgres, connect
from engine.lab.systems.rabbitmq import Rabbitmq
from engine.lab.systems.valkey import Valkey
from engine.lab.systems.zookeeper import Zookeeper
from engine.target import Target
from tests.engine.test_lab_systems import need, served_by
from tests.rights import another_user
from tests.waiting import until

pytestmark = pytest.mark.systems
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="chaosboard-links-") as folder:  # short: sockets are made in it
        monkeypatch.setenv("CHAOSBOARD_STATE", folder)
        os.chmod(folder, 0o755)  # PostgreSQL refuses to run as root
        yield Path(folder)
        assert owned.marked(Path(folder)) == []


@contextmanager
def linked(system: System, state: Path) -> Iterator[Cluster]:
    cluster = Cluster(system, state / "lab", state, linked=True)
    try:
        cluster.start(120)
        yield cluster
    finally:
        cluster.stop()


def cut(state: Path, target: Target, fault: Partition) -> list[undo.UndoRecord]:
    aim = fault.aim(target, inspect.leader(target), Random(0))
    prepared = [
        undo.prepare(state, "r", "f", "partition", piece.fault, piece.node, 60, peers=piece.peers)
        for piece in aim.pieces
    ]
    return [undo.inject(state, record) for record in prepared]


@pytest.mark.parametrize("system", [Etcd(), Nats(), Valkey()], ids=lambda s: type(s).__name__)
def test_a_leader_that_is_cut_from_its_peers_alone_is_replaced_and_still_answers_clients(
    system: System, state: Path
) -> None:
    with linked(system, state) as cluster:
        target = Target.from_dict(cluster.document())
        until(lambda: inspect.leader(target))
        first = str(inspect.leader(target))
        records = cut(state, target, Partition(topology="leader-alone"))
        until(lambda: inspect.leader(target, 0.5) not in (None, first))
        assert all(node.reachable for node in inspect.check(target).nodes)
        assert {undo.heal(state, record.id).state for record in records} == {"clean"}


def without_rights(*words: str) -> list[Any]:
    """What `tests.engine.without_rights` prints when somebody without any rights runs it."""
    with tempfile.TemporaryDirectory(prefix="chaosboard-rights-") as folder:
        os.chmod(folder, 0o777)
        argv = [*another_user(), sys.executable, "-m", "tests.engine.without_rights", folder, *words]
        environ = {**os.environ, "HOME": folder, "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(argv, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(map(json.loads, done.stdout.splitlines()))


def test_without_any_rights_links_of_etcd_are_cut_and_healed_one_by_one_each_way_for_itself() -> None:
    links = ["n1 -> n2", "n3 <-> n4", "n5 -> n1, n4"]
    pairs = [{("n1", "n2")}, {("n3", "n4"), ("n4", "n3")}, {("n5", "n1"), ("n5", "n4")}]
    *told, last = without_rights("etcd", *links)
    seen = [{tuple(pair) for pair in one["seen"]} for one in told[::2]]
    assert seen == [set().union(*pairs[i:]) for i in range(len(pairs) + 1)]
    assert [one["healed"] for one in told[1::2]] == [["clean"]] * 3 + [[]]
    assert last["user"] != 0
    assert last["left"] == 0


@pytest.mark.parametrize("kind", ["zookeeper", "ceph-mon", "rabbitmq"])
def test_without_any_rights_a_leader_that_is_cut_from_its_peers_is_replaced(kind: str) -> None:
    need(REGISTRY.get(kind).missing())
    [told] = without_rights(kind)
    assert told["user"] != 0
    assert told["then"] not in (None, told["first"])
    assert (told["healed"], told["left"]) == (["clean"], 0)


def direct(cluster: Cluster) -> set[tuple[str, str]]:
    """The pairs of members of which one has a connection to the other that passes no link proxy."""
    ends: dict[str, set[Any]] = {}
    for server in cluster.servers:
        if server.doors:
            found = ends.setdefault(server.name, set())
            for process in (main := psutil.Process(server.pid), *main.children(recursive=True)):
                found |= {(one.laddr, one.raddr) for one in process.net_connections("tcp") if one.raddr}
    return {
        (one, other)
        for one, other in itertools.combinations(ends, 2)
        if any((there, here) in ends[other] for here, there in ends[one])
    }


def test_without_links_members_are_seen_to_speak_to_each_other_directly(state: Path) -> None:
    cluster = Cluster(Etcd(), state / "lab", state)
    try:
        cluster.start()
        assert direct(cluster) == {("n1", "n2"), ("n1", "n3"), ("n2", "n3")}
    finally:
        cluster.stop()


@pytest.mark.parametrize(
    "system",
    [Etcd(), Nats(), Valkey(), Postgres(nodes=3), Mariadb(nodes=3), Zookeeper(), CephMon(), Rabbitmq()],
    ids=lambda s: type(s).__name__,
)
def test_members_have_no_way_to_each_other_but_their_doors_also_when_one_was_started_again(
    system: System, state: Path
) -> None:
    need(system.missing())
    with linked(system, state) as cluster:
        assert len({server.name for server in cluster.servers if server.doors}) >= 3
        assert direct(cluster) == set()
        node = Target.from_dict(cluster.document()).node(cluster.nodes[-1].name)
        record = undo.inject(state, undo.prepare(state, "r", "f", "kill", Kill(), node, 60))
        assert undo.heal(state, record.id).state == "clean"
        until(cluster.ready, 60)
        assert direct(cluster) == set()


@pytest.mark.parametrize("system", [Postgres(nodes=3), Mariadb(nodes=3)], ids=lambda s: type(s).__name__)
def test_what_a_primary_sends_one_standby_is_held_back_until_it_is_healed(
    system: System, state: Path
) -> None:
    need(system.missing())
    with linked(system, state) as cluster:
        primary, *standbys = cluster.nodes
        say(primary, "CREATE TABLE told (number int)")
        until(lambda: [numbers(one) for one in standbys] == [[], []])
        records = cut(state, Target.from_dict(cluster.document()), Partition(links=["n1 -> n2"]))
        say(primary, "INSERT INTO told VALUES (7)")
        until(lambda: numbers(standbys[1]) == [7])
        assert numbers(standbys[0]) == []
        assert {undo.heal(state, record.id).state for record in records} == {"clean"}
        until(lambda: numbers(standbys[0]) == [7])


def say(server: Server, query: str) -> list[Any] | None:
    """The first column of the answer; None where there is no such table yet."""
    if server.own_pid_file:  # PostgreSQL
        with suppress(psycopg.errors.UndefinedTable), connect(server.host, server.port) as connection:
            answer = connection.execute(query.encode())
            return [row[0] for row in answer.fetchall()] if answer.description else []
        return None
    argv = [MARIADB_CLIENT.get(), "--no-defaults", "-h", server.host, "-P", str(server.port), "-uroot", "-N"]
    done = subprocess.run([*argv, "-e", query, "lab"], capture_output=True, text=True)
    return None if done.returncode else [int(line) for line in done.stdout.splitlines()]


def numbers(server: Server) -> list[Any] | None:
    return say(server, "SELECT number FROM told")


def answered_by(balancer: Server) -> set[str]:
    """As `served_by`; nobody where one has waited for a node that is cut off just now."""
    with suppress(httpx.TimeoutException):
        return served_by(balancer)
    return set()


def test_a_balancer_does_without_a_node_that_is_cut_off_from_it(state: Path) -> None:
    system = Http(balancer="haproxy")
    need(system.missing())
    with linked(system, state) as cluster:
        balancer = cluster.nodes[0]
        until(lambda: served_by(balancer) == {"n1", "n2", "n3"})
        records = cut(state, Target.from_dict(cluster.document("backends")), Partition(nodes=["n2"]))
        until(lambda: answered_by(balancer) == {"n1", "n3"}, 60)
        assert {undo.heal(state, record.id).state for record in records} == {"clean"}
        until(lambda: served_by(balancer) == {"n1", "n2", "n3"})


def test_the_command_tells_where_its_services_are_and_takes_all_away_when_it_is_interrupted(
    state: Path,
) -> None:
    argv = [sys.executable, "-m", "engine", "lab", "up", "etcd", "--links", "--state", str(state)]
    with subprocess.Popen(
        argv, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=os.environ.copy()
    ) as command:
        assert command.stdout
        said = ""
        while "until Ctrl-C" not in said:
            line = command.stdout.readline()
            assert line, said
            said += line
        file = said.rpartition("services are in ")[2].partition(",")[0]
        services = yaml.safe_load(Path(file).read_text())["targets"]
        target = Target.from_dict(services[0])
        until(lambda: inspect.leader(target))
        command.send_signal(signal.SIGINT)
        assert command.wait(30) == 0
    with pytest.raises(Unreachable):
        proxy.call(state, {"do": "hello"})


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["ended", "killed"])
def test_a_lab_on_loopback_whose_command_is_gone_is_taken_down(number: signal.Signals, state: Path) -> None:
    def engine(*words: str) -> list[str]:
        return [sys.executable, "-m", "engine", "lab", *words, "--state", str(state)]

    def said(*words: str) -> str:
        return subprocess.run(engine(*words), cwd=ROOT, capture_output=True, text=True, check=True).stdout

    with subprocess.Popen(
        engine("up", "etcd", "--links"), cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as command:
        assert command.stdout
        while "until Ctrl-C" not in (line := command.stdout.readline()):
            assert line
        assert said("list") == "etcd: etcd on loopback, behind links\n"
        command.send_signal(number)
        command.wait(60)
    if number == signal.SIGTERM:
        assert said("down") == "No lab is up.\n"
    else:
        assert "its command was killed" in said("list")
        assert said("down") == "etcd: gone\n"
    assert said("list") == "No lab is up.\n"
