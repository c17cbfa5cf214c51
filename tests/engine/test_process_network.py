"""A process with a network of its own, killed: it is started again there, or not at all."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from engine import undo
from engine.errors import Refused
from engine.faults import Fault
from engine.faults.kill import Kill
from engine.faults.pause import Pause
from engine.faults.restart import Restart
from engine.host import networks
from engine.target import Node
from tests.kernel import ROOT
from tests.networks import Network, need_networks, network
from tests.waiting import until


@pytest.fixture
def one(state: Path) -> Iterator[Network]:
    need_networks()
    with network(1) as found:
        yield found


def node_of(net: Network, state: Path) -> Node:
    """A sleeper in the first namespace, known by its pid file."""
    victim = net.start(net.spaces[0], "sleep", "600")
    until(lambda: psutil.Process(victim.pid).name() == "sleep")
    file = state / "victim.pid"
    file.write_text(f"{victim.pid}\n")
    return Node("n1", "10.77.0.1:80", control="process", control_params={"pid_file": str(file)})


def pid_of(node: Node) -> int:
    return int(Path(node.control_params["pid_file"]).read_text())


def hurt(state: Path, node: Node, fault: Fault, name: str) -> undo.UndoRecord:
    return undo.inject(state, undo.prepare(state, "r", "f0", name, fault, node, 60))


@pytest.mark.parametrize(("fault", "name"), [(Kill(), "kill"), (Restart(), "restart")])
def test_it_is_started_again_in_its_own_network(fault: Fault, name: str, one: Network, state: Path) -> None:
    node = node_of(one, state)
    home, killed = networks.number(pid_of(node)), pid_of(node)
    assert home != networks.number()
    hurt(state, node, fault, name)
    assert [healed.state for healed in undo.heal_all(state)] == ["clean"]
    assert pid_of(node) != killed
    assert networks.number(pid_of(node)) == home
    os.kill(pid_of(node), signal.SIGKILL)


def test_whoever_heals_from_another_network_starts_it_where_it_was(one: Network, state: Path) -> None:
    """A victim of this very network, healed by somebody in a namespace of a test."""
    victim = subprocess.Popen(["sleep", "600"], start_new_session=True)
    (state / "victim.pid").write_text(f"{victim.pid}\n")
    node = Node(
        "n1", "127.0.0.1:1", control="process", control_params={"pid_file": str(state / "victim.pid")}
    )
    hurt(state, node, Kill(), "kill")
    victim.wait()
    nsenter = shutil.which("nsenter") or "nsenter"
    subprocess.run(
        [nsenter, f"--net={one.spaces[0].path}", sys.executable, "-m", "engine", "heal", "--all", "--state", str(state)],
        check=True, cwd=ROOT, capture_output=True,
    )  # fmt: skip
    assert networks.number(pid_of(node)) == networks.number()
    os.kill(pid_of(node), signal.SIGKILL)


def test_a_network_that_would_be_gone_with_it_is_refused_and_nothing_is_killed(state: Path) -> None:
    need_networks()
    victim = subprocess.Popen(["unshare", "--net", "sleep", "600"], start_new_session=True)
    try:
        until(lambda: networks.elsewhere(victim.pid) and psutil.Process(victim.pid).name() == "sleep")
        node = Node("n1", "10.77.0.1:80", control="process", control_params={"pid": victim.pid})
        with pytest.raises(Refused, match="held by nothing else: it would be gone with it"):
            hurt(state, node, Kill(), "kill")
        assert undo.records(state) == []
        hurt(state, node, Pause(), "pause")  # which ends nothing
        assert [healed.state for healed in undo.heal_all(state)] == ["clean"]
        assert victim.poll() is None
    finally:
        victim.kill()
        victim.wait()


def test_where_its_network_went_meanwhile_it_is_started_nowhere(one: Network, state: Path) -> None:
    node = node_of(one, state)
    killed = pid_of(node)
    hurt(state, node, Kill(), "kill")
    one.holders[1].kill()
    one.holders[1].wait()
    [healed] = undo.heal_all(state)
    assert (healed.state, pid_of(node)) == ("unverified", killed)
    assert "The network in which it ran is gone, and it is not started in another one" in healed.text
