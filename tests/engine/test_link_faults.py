"""Latency and partition, end to end: a real server behind chaosboard's link, hurt and measured."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from chaosboard import ports
from engine import runner
from engine.experiment import Experiment
from engine.processes import listeners
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
