"""The lead passed on, a member that never comes, a replica on its own: on real etcd, Redis or Valkey."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chaosboard import ports
from engine import inspect, undo
from engine.drivers import etcd as etcd_driver
from engine.drivers._redis import ask
from engine.drivers.etcd import Etcd
from engine.drivers.redis import Redis
from engine.errors import Refused, Unreachable
from engine.faults import Fault
from engine.faults.add_member import AddMember
from engine.faults.detach_replica import DetachReplica
from engine.faults.transfer_leader import TransferLeader
from engine.lab.cluster import Cluster
from engine.lab.programs import VALKEY
from engine.target import Node, Target
from tests.waiting import until


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CHAOSBOARD_STATE", str(tmp_path))
    return tmp_path


def leading(target: Target) -> tuple[Node, list[Node]]:
    until(lambda: inspect.leader(target))
    name = inspect.leader(target)
    return target.node(str(name)), [node for node in target.nodes if node.name != name]


def prepared(state: Path, kind: str, fault: Fault, node: Node) -> undo.UndoRecord:
    return undo.prepare(state, "r", "f0", kind, fault, node, 60)


def begin(state: Path, kind: str, fault: Fault, node: Node) -> undo.UndoRecord:
    return undo.inject(state, prepared(state, kind, fault, node))


# etcd


@pytest.fixture
def etcd(etcd_cluster: Cluster) -> Target:
    return Target.from_dict(etcd_cluster.document())


def members(target: Target) -> list[dict[str, Any]]:
    return list(etcd_driver._post(target.nodes[0].address, "/v3/cluster/member/list", {})["members"])


def test_etcd_passes_the_lead_to_whom_is_asked_and_back(etcd: Target, state: Path) -> None:
    leader, others = leading(etcd)
    record = begin(state, "transfer-leader", TransferLeader(to=others[1].name, back=True), leader)
    assert record.text == f"{others[1].name} leads now"
    assert inspect.leader(etcd) == others[1].name
    healed = undo.heal(state, record.id)
    assert (healed.state, healed.text) == ("clean", f"{leader.name} leads, and a majority follows it")
    assert inspect.leader(etcd) == leader.name


def test_etcd_passes_the_lead_to_anybody_and_keeps_it_there(etcd: Target, state: Path) -> None:
    leader, _ = leading(etcd)
    record = begin(state, "transfer-leader", TransferLeader(), leader)
    now = inspect.leader(etcd)
    assert now != leader.name
    assert undo.heal(state, record.id).text == f"{now} leads, and a majority follows it"
    with pytest.raises(Refused, match=f"{leader.name} does not lead: {now} does"):
        prepared(state, "transfer-leader", TransferLeader(), leader)
    with pytest.raises(Refused, match="no voter called 'n9'"):
        prepared(state, "transfer-leader", TransferLeader(to="n9"), etcd.node(str(now)))


def test_a_member_is_taken_out_by_whoever_knows_only_what_was_captured_before(
    etcd: Target, state: Path
) -> None:
    """The one that added it was killed before it had an answer, or before it asked."""
    record = prepared(state, "add-member", AddMember(), etcd.nodes[0])
    Etcd().add_member(record.captured, record.id)
    assert len(members(etcd)) == 4
    assert undo.heal(state, record.id).state == "clean"
    assert len(members(etcd)) == 3
    never = prepared(state, "add-member", AddMember(), etcd.nodes[0])
    assert undo.heal(state, never.id).state == "clean"


def test_a_member_that_never_comes_raises_the_quorum_until_it_is_taken_out(
    etcd: Target, etcd_cluster: Cluster, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node, other, third = etcd.nodes
    record = begin(state, "add-member", AddMember(), node)
    assert len(members(etcd)) == 4
    with pytest.raises(Refused, match="never came is expected already"):
        prepared(state, "add-member", AddMember(), other)
    mine = next(n for n in etcd_cluster.nodes if n.name == third.name)
    os.kill(int(mine.pid or 0), 9)
    until(lambda: not mine.running)
    with monkeypatch.context() as impatient:
        impatient.setattr(etcd_driver, "TIMEOUT", 0.5)
        assert undo.heal(state, record.id, patience=0).state == "unverified", "two of four are no majority"
    etcd_cluster.restore()
    assert undo.heal(state, record.id).state == "clean"
    assert len(members(etcd)) == 3


def test_a_voter_more_is_refused_where_it_would_take_the_majority_away(
    etcd: Target, etcd_cluster: Cluster, state: Path
) -> None:
    mine = etcd_cluster.nodes[2]
    os.kill(int(mine.pid or 0), 9)
    until(lambda: not mine.running)
    until(lambda: inspect.leader(etcd))
    with pytest.raises(Refused, match="3 of 4 would have to agree, and 2 answer"):
        prepared(state, "add-member", AddMember(), etcd.nodes[0])


# Redis or Valkey, watched by Sentinels


@pytest.fixture
def valkey(valkey_sentinel: Cluster) -> Target:
    return Target.from_dict(valkey_sentinel.document())


def test_a_detached_replica_under_sentinels_is_one_again(valkey: Target, state: Path) -> None:
    leader, others = leading(valkey)
    record = begin(state, "detach-replica", DetachReplica(), others[0])
    assert "Sentinels watch it" in record.text
    healed = undo.heal(state, record.id)
    assert (healed.state, healed.text) == ("clean", f"{others[0].address} follows {leader.address}")


def test_sentinels_replace_a_primary_that_is_well(valkey: Target, state: Path) -> None:
    leader, others = leading(valkey)
    with pytest.raises(Refused, match="Sentinels watch"):
        prepared(state, "transfer-leader", TransferLeader(back=True), leader)
    record = begin(state, "transfer-leader", TransferLeader(), leader)
    now = next(node for node in others if record.text == f"{node.address} leads now")
    assert ask(now.address, "ROLE")[0] == "master"
    # Sentinels tell the old one only ten seconds later; so long it is not said to be over.
    healed = undo.heal(state, record.id, patience=0)
    assert (healed.state, healed.text) in (
        ("stuck", f"{now.address} leads, and {leader.address} still takes itself for the primary too"),
        ("clean", f"{now.address} leads, as 3 of 3 Sentinels say"),
    )


# Redis or Valkey alone


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A primary and a replica that nobody watches."""
    folder = tmp_path_factory.mktemp("pair")
    numbers = ports.choose(2)
    children = [_server(folder / f"r{i}", port) for i, port in enumerate(numbers)]
    try:
        nodes = tuple(Node(f"r{i}", f"127.0.0.1:{port}") for i, port in enumerate(numbers))
        target = Target("pair", nodes, kind="redis")
        until(lambda: all(inspect.check(target).nodes[i].reachable for i in (0, 1)))
        ask(nodes[1].address, "REPLICAOF", "127.0.0.1", numbers[0])
        until(lambda: ask(nodes[1].address, "ROLE")[3] == "connected")
        yield target
    finally:
        for child in children:
            child.kill()
            child.wait()


def _server(folder: Path, port: int) -> "subprocess.Popen[bytes]":
    folder.mkdir()
    flags = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--repl-diskless-sync-delay", "0"]
    return subprocess.Popen([VALKEY.get(), *flags], cwd=folder, stdout=subprocess.DEVNULL)


def test_a_primary_that_nobody_watches_passes_its_lead_on_and_has_it_back(pair: Target, state: Path) -> None:
    leader, (other,) = leading(pair)
    until(lambda: ask(leader.address, "ROLE")[2])
    fault = TransferLeader(to=other.address, back=True)
    record = begin(state, "transfer-leader", fault, leader)
    assert record.text == f"{other.address} leads now"
    until(lambda: ask(leader.address, "ROLE")[3] == "connected")
    assert inspect.leader(pair) == other.name
    healed = undo.heal(state, record.id)
    assert (healed.state, healed.text) == (
        "clean", f"2 of 2 servers take {leader.address} for the primary",
    )  # fmt: skip
    assert undo.heal(state, record.id) is None


def test_a_replica_goes_its_own_way_and_loses_it_again(pair: Target, state: Path) -> None:
    leader, (other,) = leading(pair)
    until(lambda: ask(other.address, "ROLE")[3] == "connected")
    record = begin(state, "detach-replica", DetachReplica(), other)
    ask(other.address, "SET", "mine", "1")
    healed = undo.heal(state, record.id)
    assert (healed.state, healed.text) == ("clean", f"{other.address} follows {leader.address}")
    assert ask(other.address, "GET", "mine") is None
    with pytest.raises(Refused, match="is no replica"):
        prepared(state, "detach-replica", DetachReplica(), leader)


def test_a_replica_is_given_back_by_whoever_knows_only_what_was_captured_before(
    pair: Target, state: Path
) -> None:
    leader, (other,) = leading(pair)
    until(lambda: ask(other.address, "ROLE")[3] == "connected")
    record = prepared(state, "detach-replica", DetachReplica(), other)
    Redis().detach(record.captured)
    assert undo.heal(state, record.id).state == "clean"
    assert ask(other.address, "ROLE")[2] == leader.port


def test_the_redis_of_the_board_itself_is_never_hurt(
    pair: Target, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leader, _ = leading(pair)
    monkeypatch.setenv("REDIS_URL", f"redis://localhost:{leader.port}/0")
    with pytest.raises(Refused, match="REDIS_URL"):
        prepared(state, "transfer-leader", TransferLeader(), leader)


def test_a_service_that_does_not_answer_is_named() -> None:
    port = ports.choose(1)[0]
    for capture in (Etcd().capture_members, Redis().capture_following):
        with pytest.raises(Unreachable, match=f"127.0.0.1:{port}"):
            capture(Node("n1", f"127.0.0.1:{port}"))
