"""The HTTP client on real key-value services: one that keeps what it was given, and two that know nothing of each other."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from engine import ports
from engine.verdict import Verdict
from tests.engine.children import ROOT, target
from tests.engine.test_workloads import assert_whole, judged, recorded
from tests.waiting import until

CLIENT = {"read": "GET /kv/{key}", "write": "PUT /kv/{key}", "remove": "DELETE /kv/{key}"}


@pytest.fixture(scope="module")
def services() -> Iterator[list[str]]:
    """The addresses of two services, each with a memory of its own."""
    addresses = [f"127.0.0.1:{port}" for port in ports.choose(2)]
    command = [sys.executable, "-m", "engine.lab.serving.http", "127.0.0.1"]
    running = [subprocess.Popen([*command, one.rpartition(":")[2], one], cwd=ROOT) for one in addresses]
    try:
        until(lambda: all(map(well, addresses)))
        yield addresses
    finally:
        for process in running:
            process.kill()
            process.wait()


def well(address: str) -> bool:
    try:
        return httpx.get(f"http://{address}/health", timeout=1.0, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.mark.parametrize("name", ["register", "kv"])
async def test_a_service_that_keeps_its_values_holds(name: str, tmp_path: Path, services: list[str]) -> None:
    history = await recorded(tmp_path, name, target("http", services[0]), client=CLIENT)
    assert_whole(name, history)


@pytest.mark.parametrize("name", ["register", "kv"])
async def test_two_services_that_forget_each_others_values_are_told(
    name: str, tmp_path: Path, services: list[str]
) -> None:
    many: dict[str, Any] = {"placement": "rotate", "keys": 2, "client": CLIENT}
    history = await recorded(tmp_path, name, target("http", *services), **many)
    assert judged(name, history)["linearizable"] is Verdict.VIOLATED
