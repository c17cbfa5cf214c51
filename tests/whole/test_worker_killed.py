"""kill -9 of the worker while a node is paused: the node runs on, and the run ends telling the truth."""

import os
import signal

import httpx
import psutil
import pytest

from engine.undo import LEASE
from tests.board import Board
from tests.waiting import until
from tests.whole.conftest import Server

pytestmark = pytest.mark.systems


def document(target: str, **fault: object) -> dict[str, object]:
    return {
        "name": f"{target} is hurt",
        "target": target,
        "steady_state": [{"probe": "http", "tolerance": {"availability": ">= 99%"}}],
        "baseline": "1s",
        "faults": [{"at": "0s", "for": "60s", **fault}],
        "recovery": {"timeout": "20s", "stable": "1s"},
    }


def test_the_node_runs_within_the_lease_and_the_run_is_aborted_with_its_report(
    board: Board, server: Server
) -> None:
    node = {"name": "one", "address": server.address, "driver": {"process": {"pid": server.pid}}}
    board.api("POST", "services", {"name": "web", "kind": "http", "nodes": [node]})
    experiment = board.api("POST", "experiments", document("web", pause={"nodes": ["one"]}))
    run = board.api("POST", f"experiments/{experiment['id']}/start")
    victim = psutil.Process(server.pid)
    until(lambda: victim.status() == psutil.STATUS_STOPPED)

    for worker in board.workers():
        os.kill(worker.pid, signal.SIGKILL)

    until(lambda: victim.status() != psutil.STATUS_STOPPED, LEASE + 2)
    until(lambda: httpx.get(f"http://{server.address}/", trust_env=False).status_code == 200)
    until(lambda: board.api("GET", f"runs/{run['id']}")["state"] == "done", 60)
    done = board.api("GET", f"runs/{run['id']}")
    result = board.api("GET", f"runs/{run['id']}/result")
    assert (done["ending"], done["verdict"], result["clean"]) == ("aborted", "unknown", True)
    assert "worker was lost" in result["headline"]
    page = board.client.get(f"/runs/{run['id']}/report/")
    assert page.status_code == 200
    assert "pause one" in page.text

    again = board.api("POST", f"experiments/{experiment['id']}/start")  # by the worker that was started anew
    until(lambda: board.api("GET", f"runs/{again['id']}")["phase"] == "fault")
    board.api("POST", "halt", {"reason": "the test is over"})
    until(lambda: board.api("GET", f"runs/{again['id']}")["state"] == "done", 60)
    assert board.api("GET", f"runs/{again['id']}")["ending"] == "halted"
    assert victim.status() != psutil.STATUS_STOPPED
    board.api("POST", "resume")
