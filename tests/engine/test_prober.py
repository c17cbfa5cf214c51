"""The prober keeps its schedule whatever the answers take, and ends with its parent."""

import asyncio
import json
import os
import signal
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.clock import NS, now_ns
from engine.prober import Prober
from engine.samples import Status, load, strings
from tests.engine.children import Child, child, target
from tests.engine.serving import answer, free_port, request, serving
from tests.waiting import until

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter


def spec(directory: Path, what: dict[str, Any], **probe: Any) -> dict[str, Any]:
    row = {"name": "p", "kind": what["kind"], "params": {}, "every": 0.02, "timeout": 0.2, **probe}
    return {"probes": [row], "target": what, "leader": None, "directory": str(directory)}


def memory() -> dict[str, Any]:
    return target("memory", "127.0.0.1:1", "127.0.0.1:2")


async def probe_for(seconds: float, directory: Path, what: dict[str, Any], **probe: Any) -> Any:
    pulled: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    running = asyncio.create_task(Prober(spec(directory, what, **probe)).run(pulled))
    await asyncio.sleep(seconds)
    pulled.set_result("stop")
    await running
    return load(directory / "samples.bin")


async def test_it_looks_at_every_node_at_every_scheduled_time(tmp_path: Path) -> None:
    samples = await probe_for(0.5, tmp_path, memory(), every=0.01)
    for node in (0, 1):
        times = np.sort(samples[samples["node"] == node]["scheduled"])
        assert len(times) >= 40
        assert set(np.diff(times)) == {NS // 100}
    assert set(samples["status"]) == {Status.OK}


async def test_a_stalled_server_delays_no_look_and_its_latencies_count_from_the_schedule(
    tmp_path: Path,
) -> None:
    stalled: dict[str, int] = {}
    runs_on = asyncio.Event()

    async def handler(reader: Reader, writer: Writer) -> None:
        while True:
            await request(reader)
            await runs_on.wait()
            writer.write(answer(b"ok"))

    async with serving(handler) as port:
        asyncio.get_running_loop().call_later(0.3, lambda: (stalled.update(end=now_ns()), runs_on.set()))
        what = target("http", f"127.0.0.1:{port}")
        samples = np.sort(await probe_for(0.5, tmp_path, what, every=0.01, timeout=1.0), order="scheduled")
    assert set(np.diff(samples["scheduled"])) == {NS // 100}
    early = samples[samples["scheduled"] < stalled["end"]]
    assert len(early) >= 20
    assert (early["scheduled"] + early["latency"] >= stalled["end"]).all()
    assert set(samples["status"]) == {Status.OK}


async def test_no_answer_in_time_is_a_timeout_at_the_time_out(tmp_path: Path) -> None:
    async def handler(reader: Reader, writer: Writer) -> None:
        await reader.read()

    async with serving(handler) as port:
        samples = await probe_for(0.4, tmp_path, target("http", f"127.0.0.1:{port}"), timeout=0.1)
    assert set(samples["status"]) == {Status.TIMEOUT}
    assert samples["latency"].min() >= 0.1 * NS
    assert np.median(samples["latency"]) < 1.0 * NS
    assert strings(tmp_path / "strings.jsonl")[samples["error"][0]] == "no answer within 0.1 s"


async def test_a_refused_connection_says_so(tmp_path: Path) -> None:
    what = target("http", f"127.0.0.1:{await free_port()}")
    samples = await probe_for(0.2, tmp_path, what)
    assert set(samples["status"]) == {Status.CONNECTION}
    assert strings(tmp_path / "strings.jsonl")[samples["error"][0]] == "connection refused"


async def test_a_look_that_found_no_free_connection_is_our_own_overload(tmp_path: Path) -> None:
    async def handler(reader: Reader, writer: Writer) -> None:
        await reader.read()

    async with serving(handler) as port:
        what = target("http", f"127.0.0.1:{port}")
        samples = await probe_for(0.5, tmp_path, what, params={"connections": 2}, timeout=0.1)
    counts = np.bincount(samples["status"], minlength=5)
    assert counts[Status.TIMEOUT] == 2
    assert counts[Status.OVERLOAD] == len(samples) - 2


def test_it_is_ready_after_the_first_readings_and_done_after_stop(tmp_path: Path) -> None:
    with child("engine.prober", spec(tmp_path, memory())) as prober:
        assert len(load(tmp_path / "samples.bin")) >= 2
        prober.stop()


def test_it_ends_at_once_when_its_parent_is_gone(tmp_path: Path) -> None:
    with child("engine.prober", spec(tmp_path, memory())) as prober:
        assert prober.abandon() == 0


def test_a_wrong_spec_is_named(tmp_path: Path) -> None:
    prober = Child("engine.prober", spec(tmp_path, memory(), kind="telepathy"))
    assert "there is no probe called 'telepathy'" in prober.errors()
    assert prober.process.wait(10) != 0
    prober.end()


def leaders(directory: Path) -> list[dict[str, Any]]:
    path = directory / "leaders.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.mark.systems
def test_each_change_of_a_node_s_view_of_the_leader_is_written_once(
    tmp_path: Path, etcd_cluster: Any
) -> None:
    what = etcd_cluster.document()
    one = {**spec(tmp_path, what), "leader": {"kind": "etcd", "every": 0.02}}
    with child("engine.prober", one) as prober:
        until(lambda: len(leaders(tmp_path)) == 3)
        first = leaders(tmp_path)[0]["sees"]
        assert {line["node"] for line in leaders(tmp_path)} == {node["name"] for node in what["nodes"]}
        assert {line["sees"] for line in leaders(tmp_path)} == {first}
        old = next(node for node in etcd_cluster.nodes if node.name == first)
        killed = now_ns()
        os.kill(old.pid, signal.SIGKILL)
        until(lambda: any(c["sees"] not in (first, None) for c in leaders(tmp_path)))
        prober.stop()
    changes = [c for c in leaders(tmp_path) if c["time"] > killed]
    assert next(c for c in changes if c["node"] == first)["reachable"] is False
    followers = [c for c in changes if c["node"] != first and c["reachable"]]
    assert {c["sees"] for c in followers} - {None} == {followers[-1]["sees"]} != {first}
    for node in {c["node"] for c in followers}:  # a view is written when it changes, and only then
        views = [(c["sees"], c["reachable"], c["term"]) for c in leaders(tmp_path) if c["node"] == node]
        assert all(a != b for a, b in pairwise(views))
