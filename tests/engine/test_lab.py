"""The lab's systems are real: they form, lose their leader to a fault of ours, elect, and are whole again."""

import os
import signal
import socket
from pathlib import Path

import pytest
import redis

from chaosboard import ports, processes
from engine import inspect, undo
from engine.faults.kill import Kill
from engine.lab import CannotRun
from engine.lab.cluster import Cluster
from engine.lab.server import Server
from engine.lab.systems.etcd import Etcd
from engine.lab.systems.valkey import MASTER, SENTINELS, Valkey
from engine.target import Target
from tests.waiting import until

pytestmark = pytest.mark.systems


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CHAOSBOARD_STATE", str(tmp_path))
    return tmp_path


def elects_another(cluster: Cluster, state: Path) -> None:
    """Kills the leader by our own fault, waits for another one, and heals."""
    target = Target.from_dict(cluster.document())
    until(lambda: inspect.leader(target))
    first = str(inspect.leader(target))
    record = undo.inject(state, undo.prepare(state, "r", "f0", "kill", Kill(), target.node(first), 60))
    until(lambda: inspect.leader(target) not in (None, first))
    assert undo.heal(state, record.id).state == "clean"
    until(cluster.ready)
    assert cluster.node(first).running


def primary_of(sentinel: Server) -> str:
    """The address of the primary in the eyes of a Sentinel."""
    with redis.Redis(
        host=sentinel.host, port=sentinel.port, socket_timeout=1, decode_responses=True
    ) as client:
        return "{}:{}".format(*client.sentinel_get_master_addr_by_name(MASTER))


def test_etcd_elects_another_leader_when_its_leader_is_killed(etcd_cluster: Cluster, state: Path) -> None:
    elects_another(etcd_cluster, state)
    assert any("elected leader" in node.log_file.read_text() for node in etcd_cluster.nodes)


def test_a_killed_etcd_node_comes_back_with_its_own_command(etcd_cluster: Cluster) -> None:
    server = etcd_cluster.servers[0]
    os.kill(int(server.pid or 0), signal.SIGKILL)
    until(lambda: not server.running, 5)
    server.start(etcd_cluster.state)
    until(etcd_cluster.ready)


def test_sentinels_replace_a_killed_primary_which_comes_back_as_a_replica(
    valkey_sentinel: Cluster, state: Path
) -> None:
    old = str(inspect.leader(Target.from_dict(valkey_sentinel.document())))
    elects_another(valkey_sentinel, state)
    others = {node.address for node in valkey_sentinel.nodes if node.name != old}
    until(lambda: {primary_of(sentinel) for sentinel in valkey_sentinel.group(SENTINELS)} < others)


def test_the_processes_carry_the_mark_but_are_no_part_of_the_board(etcd_cluster: Cluster) -> None:
    found = processes.marked(etcd_cluster.state)
    assert {p.pid for p in found} == {node.pid for node in etcd_cluster.nodes}
    assert {processes.part(p) for p in found} == {""}


def test_stopping_leaves_nothing_even_of_a_paused_node(tmp_path: Path) -> None:
    system = Cluster(Valkey(), tmp_path)
    system.start()
    os.kill(int(system.nodes[1].pid or 0), signal.SIGSTOP)
    system.stop()
    assert processes.marked(tmp_path) == []


def test_a_system_that_does_not_start_says_why_in_one_line(tmp_path: Path) -> None:
    system = Cluster(Etcd(), tmp_path)
    system.lay_out()
    (tmp_path / "n2.data").write_text("a file where a directory is needed")
    with pytest.raises(CannotRun, match=r"^n2 ended at once: .+$"):
        system.form(20)
    system.stop()
    assert processes.marked(tmp_path) == []


def test_preferred_ports_are_given_up_when_one_is_taken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert port not in ports.choose(1, (port,))
        assert str(os.getpid()) in ports.holder(port)
