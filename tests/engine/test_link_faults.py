"""Latency and partition, end to end: a real server behind chaosboard's link, hurt and measured."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from chaosboard import ports
from engine import faults, runner
from engine.drivers import offering
from engine.drivers.link import Link
from engine.experiment import Experiment
from engine.faults._link import _LinkFault
from engine.faults.partition import Partition
from engine.processes import listeners
from engine.target import Node
from tests.proxies import running, serve
from tests.waiting import until


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("CHAOSBOARD_STATE", str(tmp_path))
    yield tmp_path
    for process in psutil.process_iter(["cmdline"]):
        if {"proxy", str(tmp_path)} <= set(process.info["cmdline"] or []):
            process.terminate()
            process.wait(5)


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[int]:
    port = ports.choose(1)[0]
    command = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]
    child = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL, env=os.environ)
    until(lambda: child.pid in listeners(port))
    yield port
    child.kill()
    child.wait()


def perform(folder: Path, upstream: int, **fault: Any) -> dict[str, Any]:
    node = {"name": "one", "address": f"127.0.0.1:{ports.choose(1)[0]}", "upstream": f"127.0.0.1:{upstream}"}
    one = Experiment.from_dict(
        {
            "name": "the link is hurt",
            "targets": [{"name": "web", "kind": "http", "nodes": [node]}],
            "steady_state": [{"probe": "http", "every": "50ms", "timeout": "500ms",
                              "tolerance": {"availability": ">= 95%"}}],
            "baseline": "1s",
            "faults": [{"at": "0s", "for": "2s", **fault}],
            "recovery": {"timeout": "20s", "stable": "1s"},
        }
    )  # fmt: skip
    return runner.run(
        one, one.targets[0], directory=folder / "run", state=folder, emit=lambda events: None,
        stop=lambda: "", run_id="r1",
    )  # fmt: skip


def test_a_delayed_link_is_as_much_slower_as_was_said(folder: Path, upstream: int) -> None:
    result = perform(folder, upstream, latency={"nodes": ["one"], "delay": "100ms"})
    _, during, after = result["phases_measured"]
    assert result["verdict"] == "held", result["headline"]
    assert during["p50"] >= 0.2  # each way
    assert after["p50"] < 0.2
    assert result["clean"]


def test_a_cut_link_is_an_outage_that_ends_with_it(folder: Path, upstream: int) -> None:
    result = perform(folder, upstream, partition={"nodes": ["one"]})
    assert result["verdict"] == "held", result["headline"]
    assert (
        result["phases_measured"][1]["availability"] < 0.5
    )  # those that waited for the end of the cut were good
    assert result["recovery"]["worst_outage"] == pytest.approx(2.0, abs=0.8)
    assert "nothing of it is left on the link" in result["clean_text"]


LINK_FAULTS = [
    name for name, cls in faults.REGISTRY if issubclass(cls, _LinkFault) and "link" in offering(cls.needs)
]


@pytest.mark.parametrize("name", LINK_FAULTS)
def test_every_fault_on_a_link_is_taken_by_the_proxy_and_healed_twice(name: str, tmp_path: Path) -> None:
    fault: Any = faults.REGISTRY.get(name)()
    with running(tmp_path) as proxy, pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHAOSBOARD_STATE", str(tmp_path))
        address, upstream = (f"127.0.0.1:{port}" for port in ports.choose(2))
        if name in ("duplicate", "reorder"):
            upstream = f"udp://{upstream}"
        node = Node("one", address, upstream=upstream)
        captured = fault.capture(Link(), node)
        fault.inject(Link(), node, captured, "mark", time.time() + 60)
        assert fault.read_back(Link(), node, captured, "mark").gone is False
        for _ in range(2):
            fault.heal(Link(), node, captured, "mark")
            assert fault.read_back(Link(), node, captured, "mark").gone is True
        fault.inject(Link(), node, captured, "other", time.time() + 0.2)
        until(lambda: fault.read_back(Link(), node, captured, "other").gone, timeout=5)
        assert proxy.order("read", address) == {"marks": []}
    assert "one" in fault.line(["one"])


@pytest.mark.parametrize(("direction", "asked"), [("to-node", False), ("from-node", True)])
def test_a_one_way_cut_lets_the_other_way_pass(tmp_path: Path, direction: str, asked: bool) -> None:
    heard: list[bytes] = []

    def talk(one: socket.socket) -> None:
        one.sendall(b"welcome")
        while data := one.recv(100):
            heard.append(data)
            one.sendall(data)

    with running(tmp_path) as proxy, serve(talk) as upstream, proxy.connect(upstream) as one:
        assert one.recv(7) == b"welcome"
        proxy.disturb(upstream, **Partition(direction=direction).how())
        one.sendall(b"hello")
        one.settimeout(0.3)
        with pytest.raises(TimeoutError):
            one.recv(5)
        assert bool(heard) is asked
        proxy.clear(upstream)
        one.settimeout(5)
        assert one.recv(5) == b"hello"


def test_a_proxy_that_hangs_is_not_taken_for_one_that_is_gone(
    folder: Path, upstream: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = Node("one", f"127.0.0.1:{ports.choose(1)[0]}", upstream=f"127.0.0.1:{upstream}")
    Link().prepare(node)
    Link().disturb(node, "mark", {"cut": True}, time.time() + 60)
    [proxy] = (
        p for p in psutil.process_iter(["cmdline"]) if {"proxy", str(folder)} <= set(p.info["cmdline"] or [])
    )
    monkeypatch.setattr("engine.proxy.PATIENCE", 0.3)
    proxy.suspend()
    assert Link().cleared(node, "mark").gone is None
    proxy.resume()
    assert Link().cleared(node, "mark").gone is False
    proxy.kill()
    proxy.wait(5)
    assert Link().cleared(node, "mark").gone is True


def what_is_under_way(one: socket.socket) -> bytes:
    """What still comes, because the kernel had it already, until nothing more does."""
    found = b""
    one.settimeout(0.2)
    with suppress(TimeoutError):
        while piece := one.recv(1 << 20):
            found += piece
    one.settimeout(10)
    return found


def test_a_black_hole_healed_on_a_live_connection_loses_no_byte(tmp_path: Path) -> None:
    """In the middle of a transfer in bulk, both ways at once, and three times."""

    def echo(one: socket.socket) -> None:
        while data := one.recv(1 << 20):
            one.sendall(data)

    data = os.urandom(24 << 20)
    with running(tmp_path) as proxy, serve(echo) as upstream, proxy.connect(upstream) as one:
        sender = threading.Thread(target=lambda: (one.sendall(data), one.shutdown(socket.SHUT_WR)))
        sender.start()
        found = bytearray()
        for share in (1, 2, 3):
            while len(found) < share * len(data) // 4:
                found += one.recv(1 << 20)
            proxy.disturb(upstream, cut=True)
            found += what_is_under_way(one)
            proxy.clear(upstream)
        while piece := one.recv(1 << 20):
            found += piece
        sender.join()
    assert found == data
