"""The load keeps its rate, tells ok from fail from info, reads back, and leaves nothing behind."""

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import httpx
import pytest

from engine import state
from engine.checkers import REGISTRY as CHECKERS
from engine.clients import REGISTRY as CLIENTS
from engine.elements import counts
from engine.errors import BadInput, EngineError
from engine.history import History, read
from engine.load import read as read_spec
from engine.samples import Outcome, load
from engine.verdict import Verdict
from tests.engine.children import child, target
from tests.waiting import until

SET = CHECKERS.get("set")()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CHAOSBOARD_STATE", str(tmp_path))
    return tmp_path


def spec(directory: Path, what: dict[str, Any], **params: Any) -> dict[str, Any]:
    return {"workload": {"set": params}, "target": what, "directory": str(directory), "run": "r1"}


def memory() -> dict[str, Any]:
    return target("memory", "127.0.0.1:1", "127.0.0.1:2")


def acknowledged(directory: Path) -> int:
    return int((load(directory / "ops.bin")["status"] == Outcome.OK).sum())


def pairs_are_in_order(history: History) -> bool:
    """A process has one operation open at a time, and after info it never acts again."""
    last: dict[int, Any] = {}
    for op in history.ops:
        before = last.get(op.process)
        if before and (before.outcome is Outcome.INFO or before.completed > op.invoked):
            return False
        last[op.process] = op
    return True


def test_what_a_whole_system_acknowledged_is_there_at_the_end(tmp_path: Path) -> None:
    with child("engine.load", spec(tmp_path, memory(), rate="500/s")) as workload:
        until(lambda: acknowledged(tmp_path) >= 250)
        workload.stop()
    history = read(tmp_path / "history.arrows")
    found = counts(history)
    assert SET.check(history).verdict is Verdict.HELD
    assert (
        found["attempted"] == found["acknowledged"] == found["read_back"] == len(load(tmp_path / "ops.bin"))
    )
    assert {op.process for op in history.ops if op.f == "add"} == {0, 1, 2, 3}
    assert history.ops[-1].process > 3  # the last read is by a process of its own


def test_where_every_node_is_down_the_adds_fail_and_the_verdict_is_unknown(tmp_path: Path) -> None:
    for name in ("n1", "n2"):
        state.write(tmp_path / "memory" / f"memory.{name}.json", {"down": True})
    with child("engine.load", spec(tmp_path, memory(), rate="500/s")) as workload:
        until(lambda: len(load(tmp_path / "ops.bin")) >= 20)
        for name in ("n1", "n2"):
            state.write(tmp_path / "memory" / f"memory.{name}.json", {})
        until(lambda: acknowledged(tmp_path) >= 20)
        workload.stop()
    history = read(tmp_path / "history.arrows")
    assert SET.check(history).verdict is Verdict.HELD
    assert (counts(history)["failed"] or 0) >= 20
    assert "connection refused" in (tmp_path / "ops-strings.jsonl").read_text()


def test_no_answer_in_time_is_info_and_its_process_never_acts_again(tmp_path: Path) -> None:
    with child("engine.load", spec(tmp_path, memory(), rate="200/s", timeout="50ms")) as workload:
        until(lambda: acknowledged(tmp_path) >= 20)
        state.write(tmp_path / "memory" / "memory.n1.json", {"paused": True})
        until(lambda: (load(tmp_path / "ops.bin")["status"] == Outcome.INFO).sum() >= 8)
        state.write(tmp_path / "memory" / "memory.n1.json", {})
        workload.stop()
    history = read(tmp_path / "history.arrows")
    assert pairs_are_in_order(history)
    assert SET.check(history).verdict is Verdict.HELD


def test_it_ends_at_once_when_its_parent_is_gone(tmp_path: Path) -> None:
    with child("engine.load", spec(tmp_path, memory())) as workload:
        until(lambda: len(read(tmp_path / "history.arrows")) >= 5)
        assert workload.abandon() == 0
    assert len(read(tmp_path / "history.arrows")) >= 5


def test_a_system_without_a_client_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no client keeps a set in http"):
        read_spec(spec(tmp_path, target("http", "127.0.0.1:1")))


async def test_a_system_that_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.load.PREPARE", 0.3)
    workload = read_spec(spec(tmp_path, target("etcd", "127.0.0.1:1")))
    with pytest.raises(EngineError, match="connection refused"):
        await workload.run(asyncio.get_running_loop().create_future())


@pytest.mark.parametrize("name", CLIENTS.names())
def test_a_client_is_named_like_the_probe_of_its_kind(name: str) -> None:
    from engine.probes import REGISTRY as PROBES

    assert name in PROBES


@pytest.mark.systems
def test_etcd_loses_no_acknowledged_element_when_its_leader_dies(tmp_path: Path, etcd_cluster: Any) -> None:
    with child("engine.load", spec(tmp_path, etcd_cluster.document(), rate="200/s")) as workload:
        until(lambda: acknowledged(tmp_path) >= 100)
        os.kill(next(node for node in etcd_cluster.nodes if node.running).pid, signal.SIGKILL)
        before = acknowledged(tmp_path)
        until(lambda: acknowledged(tmp_path) >= before + 200)
        workload.stop()
    history = read(tmp_path / "history.arrows")
    judged = SET.check(history)
    assert (judged.verdict, judged.findings) == (Verdict.HELD, [])
    assert pairs_are_in_order(history)
    etcd_cluster.restore()
    assert keys(etcd_cluster) == []


def keys(cluster: Any) -> list[Any]:
    """What the load left in etcd: everything under its prefix."""
    body = {"key": "Y2hhb3Nib2FyZC9yMQ==", "range_end": "Y2hhb3Nib2FyZC9yMg=="}  # chaosboard/r1 to …/r2
    answer = httpx.post(
        f"http://{cluster.nodes[-1].address}/v3/kv/range", content=json.dumps(body), trust_env=False
    )
    return list(answer.json().get("kvs", []))


@pytest.mark.systems
def test_valkey_is_followed_to_its_new_primary(tmp_path: Path, valkey_sentinel: Any) -> None:
    what = valkey_sentinel.document()
    with child("engine.load", spec(tmp_path, what, rate="200/s")) as workload:
        until(lambda: acknowledged(tmp_path) >= 100)
        primary = next(node for node in valkey_sentinel.nodes if role(node.address) == "master")
        os.kill(primary.pid, signal.SIGKILL)
        before = acknowledged(tmp_path)
        until(lambda: acknowledged(tmp_path) >= before + 200, 30)
        workload.stop()
    history = read(tmp_path / "history.arrows")
    found = counts(history)
    assert found["read_back"] is not None
    assert (found["failed"] or 0) + (found["unknown"] or 0) > 0
    assert SET.check(history).verdict is not Verdict.UNKNOWN
    assert not [f for f in SET.check(history).findings if f["kind"] != "lost"]
    assert {left for node in what["nodes"] for left in leftovers(node["address"])} == set()


def redis_at(address: str) -> Any:
    import redis

    host, port = address.split(":")
    return redis.Redis(host, int(port), socket_timeout=2)


def role(address: str) -> str:
    import redis

    try:
        return str(redis_at(address).role()[0].decode())
    except redis.RedisError:
        return ""


def leftovers(address: str) -> list[str]:
    return (
        [key.decode() for key in redis_at(address).keys("chaosboard/*")] if role(address) == "master" else []
    )
