"""The demo's systems are real: they elect, fail over, and come back."""

import os
import signal
import socket
from pathlib import Path

import httpx
import pytest
import redis

from chaosboard import ports, processes
from chaosboard.demo.etcd import EtcdCluster
from chaosboard.demo.system import CannotRun, Node
from chaosboard.demo.valkey import MASTER, ValkeySentinel
from tests.waiting import until

pytestmark = pytest.mark.systems


def etcd_leader(nodes: list[Node]) -> str | None:
    for node in nodes:
        try:
            url = f"http://{node.address}/v3/maintenance/status"
            status = httpx.post(url, json={}, timeout=1, trust_env=False).json()
        except httpx.HTTPError:
            continue
        if status.get("leader") == status["header"]["member_id"]:
            return node.name
    return None


def role(node: Node) -> str:
    host, port = node.address.split(":")
    try:
        with redis.Redis(host=host, port=int(port), socket_timeout=1, decode_responses=True) as client:
            return str(client.role()[0])
    except redis.RedisError:
        return ""


def primary_of(sentinel: Node) -> str:
    """The address of the primary in the eyes of a Sentinel."""
    host, port = sentinel.address.split(":")
    with redis.Redis(host=host, port=int(port), socket_timeout=1, decode_responses=True) as client:
        return "{}:{}".format(*client.sentinel_get_master_addr_by_name(MASTER))


def test_etcd_elects_another_leader_when_its_leader_is_killed(etcd_cluster: EtcdCluster) -> None:
    first = etcd_leader(etcd_cluster.nodes)
    victim = next(node for node in etcd_cluster.nodes if node.name == first)
    os.kill(victim.pid, signal.SIGKILL)
    until(lambda: not victim.running, 5)
    others = [node for node in etcd_cluster.nodes if node != victim]
    until(lambda: etcd_leader(others))
    assert "elected leader" in others[0].log_file.read_text()


def test_a_killed_etcd_node_comes_back_with_its_own_command(etcd_cluster: EtcdCluster) -> None:
    server = etcd_cluster.servers[0]
    os.kill(server.node.pid, signal.SIGKILL)
    until(lambda: not server.node.running, 5)
    server.start(etcd_cluster.state)
    until(etcd_cluster.ready)


def test_sentinel_replaces_a_killed_primary_which_comes_back_as_a_replica(
    valkey_sentinel: ValkeySentinel,
) -> None:
    old = next(node for node in valkey_sentinel.nodes if role(node) == "master")
    os.kill(old.pid, signal.SIGKILL)
    others = {node.address for node in valkey_sentinel.nodes if node != old}
    until(lambda: {primary_of(node) for node in valkey_sentinel.sentinels} < others)
    valkey_sentinel.restore()
    assert role(old) == "slave"


def test_the_processes_carry_the_mark_but_are_no_part_of_the_board(etcd_cluster: EtcdCluster) -> None:
    found = processes.marked(etcd_cluster.state)
    assert {p.pid for p in found} == {node.pid for node in etcd_cluster.nodes}
    assert {processes.part(p) for p in found} == {""}


def test_stopping_leaves_nothing_even_of_a_paused_node(tmp_path: Path) -> None:
    system = ValkeySentinel(tmp_path, state=tmp_path)
    system.start()
    os.kill(system.nodes[1].pid, signal.SIGSTOP)
    system.stop()
    assert processes.marked(tmp_path) == []


def test_a_system_that_does_not_start_says_why_in_one_line(tmp_path: Path) -> None:
    system = EtcdCluster(tmp_path, state=tmp_path)
    system.lay_out(())
    (tmp_path / "n2.data").write_text("a file where a directory is needed")
    with pytest.raises(CannotRun, match=r"^etcd demo: n2 ended at once: .+$"):
        system.launch_and_wait(20)
    system.stop()
    assert processes.marked(tmp_path) == []


def test_preferred_ports_are_given_up_when_one_is_taken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert port not in ports.choose(1, (port,))
        assert str(os.getpid()) in ports.holder(port)
