"""Topologies on loopback, without root: each pair of members, or each node, behind a link of its own."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from engine import inspect, owned, proxy, undo
from engine.errors import Unreachable
from engine.faults.partition import Partition
from engine.lab.cluster import Cluster
from engine.lab.systems import System
from engine.lab.systems.etcd import Etcd
from engine.lab.systems.nats import Nats
from engine.lab.systems.valkey import Valkey
from engine.target import Node, Target
from tests.waiting import until

pytestmark = pytest.mark.systems
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="chaosboard-links-") as folder:  # short: sockets are made in it
        monkeypatch.setenv("CHAOSBOARD_STATE", folder)
        yield Path(folder)
        assert owned.marked(Path(folder)) == []


@contextmanager
def linked(system: System, state: Path) -> Iterator[Cluster]:
    cluster = Cluster(system, state / "lab", state, linked=True)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def cut(state: Path, nodes: list[Node]) -> list[undo.UndoRecord]:
    prepared = [
        undo.prepare(state, "r", f"f{i}", "partition", Partition(), node, 60) for i, node in enumerate(nodes)
    ]
    return [undo.inject(state, record) for record in prepared]


def carrying(links: Target, *tags: str) -> list[Node]:
    return [node for node in links.nodes if set(tags) & set(node.tags)]


@pytest.mark.parametrize("system", [Etcd(), Nats()], ids=lambda s: type(s).__name__)
def test_a_leader_that_is_cut_from_its_peers_alone_is_replaced_and_still_answers_clients(
    system: System, state: Path
) -> None:
    with linked(system, state) as cluster:
        target, links = map(Target.from_dict, cluster.documents())
        assert len(links.nodes) == 6
        until(lambda: inspect.leader(target))
        first = str(inspect.leader(target))
        records = cut(state, carrying(links, f"from-{first}", f"to-{first}"))
        until(lambda: inspect.leader(target) not in (None, first))
        assert all(node.reachable for node in inspect.check(target).nodes)
        assert {undo.heal(state, record.id).state for record in records} == {"clean"}
        until(cluster.ready)


def test_two_etcd_members_that_do_not_hear_each_other_are_kept_together_by_the_third(state: Path) -> None:
    with linked(Etcd(), state) as cluster:
        target, links = map(Target.from_dict, cluster.documents())
        until(lambda: inspect.leader(target))
        first = str(inspect.leader(target))
        others = sorted({"n1", "n2", "n3"} - {first})
        cut(state, carrying(links, f"between-{others[0]}-{others[1]}"))
        assert inspect.leader(target) == first
        assert cluster.ready()


def test_a_primary_behind_a_link_that_is_cut_is_replaced(state: Path) -> None:
    with linked(Valkey(), state) as cluster:
        target = Target.from_dict(cluster.document())
        first = str(inspect.leader(target))
        (record,) = cut(state, [target.node(first)])
        until(lambda: inspect.leader(target, 0.5) not in (None, first))
        assert undo.heal(state, record.id).state == "clean"
        until(cluster.ready)


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
