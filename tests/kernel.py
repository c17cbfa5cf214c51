"""The kernel driver's tests: three nodes in namespaces of their own, hurt as a run hurts."""

import random
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from engine import undo
from engine.faults import REGISTRY, Fault
from engine.host import networks
from engine.target import Node, Target
from tests.networks import Network, need_networks, network
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[1]
SERVE = "import socket; s = socket.create_server(('', 80)); [s.accept() for _ in iter(int, 1)]"
UP_TO = 30.0


@pytest.fixture(scope="module")
def net() -> Iterator[Network]:
    need_networks()
    with network(3) as found:
        yield found


@pytest.fixture(scope="module")
def three(net: Network) -> Target:
    """A server at port 80 of each."""
    victims = [net.start(space, sys.executable, "-c", SERVE) for space in net.spaces]
    until(lambda: all(networks.listening([one.pid], one.pid) == [80] for one in victims))
    nodes = [
        Node(space.name, f"{space.address}:80", control="process", control_params={"pid": one.pid})
        for space, one in zip(net.spaces, victims, strict=True)
    ]
    return Target("three", tuple(nodes))


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CHAOSBOARD_STATE", str(tmp_path))
    return tmp_path


def inject(state: Path, target: Target, fault: Fault) -> list[undo.UndoRecord]:
    """As a run does: aimed once, and a record for each piece."""
    name = REGISTRY.name_of(type(fault))
    records = [
        undo.prepare(state, "r", "f0", name, piece.fault, piece.node, UP_TO, peers=piece.peers)
        for piece in fault.aim(target, "n2", random.Random(0)).pieces
    ]
    return [undo.inject(state, record) for record in records]


def end_warden(state: Path) -> None:
    for process in psutil.process_iter(["cmdline"]):
        if "warden" in (line := process.info["cmdline"] or []) and str(state) in line:
            process.terminate()
            process.wait(10)
