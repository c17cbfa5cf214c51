"""What the faults on processes do to a real one, and that nothing of them is left when all else is dead."""

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from chaosboard import ports
from engine import actor, processes, undo, warden
from engine.errors import Refused
from engine.experiment import Experiment
from engine.faults import REGISTRY, Fault
from engine.hurting import Hurt, Hurting
from engine.parameters import build
from engine.target import Node, Target
from tests.waiting import until

SERVE = "import socket, sys, time; s = socket.create_server(('127.0.0.1', int(sys.argv[1]))); time.sleep(600)"


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("CHAOSBOARD_STATE", str(tmp_path))
    yield tmp_path
    undo.heal_all(tmp_path)


class Server:
    """A real process on a port, controlled by its pid file."""

    def __init__(self, folder: Path, name: str) -> None:
        (self.port,) = ports.choose(1)
        self.file = folder / f"{name}.pid"
        child = subprocess.Popen([sys.executable, "-c", SERVE, str(self.port)], start_new_session=True)
        threading.Thread(target=child.wait, daemon=True).start()
        self.file.write_text(str(child.pid))
        self.node = Node(
            name, f"127.0.0.1:{self.port}", control="process", control_params={"pid_file": str(self.file)}
        )
        until(self.pids)

    def pids(self) -> set[int]:
        return processes.listeners(self.port)


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[list[Server]]:
    found = [Server(tmp_path, f"n{i}") for i in (1, 2, 3)]
    yield found
    undo.heal_all(tmp_path)
    for server in found:
        for pid in server.pids():
            os.kill(pid, signal.SIGKILL)


def hurt(state: Path, server: Server, name: str, seconds: float = 60, **params: Any) -> undo.UndoRecord:
    fault: Fault = build(REGISTRY.get(name), params)
    return undo.inject(state, undo.prepare(state, "r", "f0", name, fault, server.node, seconds))


def test_stop_holds_a_process_down_until_it_heals(state: Path, servers: list[Server]) -> None:
    (old,) = servers[0].pids()
    record = hurt(state, servers[0], "stop")
    assert servers[0].pids() == set()
    assert undo.heal(state, record.id).state == "clean"
    until(servers[0].pids)
    assert servers[0].pids() != {old}


def test_a_crash_loop_kills_again_and_again_and_ends_with_the_fault(
    state: Path, servers: list[Server]
) -> None:
    seen: set[int] = set()
    record = hurt(state, servers[0], "crash-loop", lives="150ms", down="50ms")

    def three() -> bool:
        seen.update(servers[0].pids())
        return len(seen) >= 3

    until(three)
    assert undo.heal(state, record.id).state == "clean"
    assert actor.left(record.id) == []
    until(servers[0].pids)
    assert len(servers[0].pids()) == 1


def test_a_crash_loop_ends_by_itself_where_nobody_is_left_to_end_it(
    state: Path, servers: list[Server]
) -> None:
    record = hurt(state, servers[0], "crash-loop", lives="150ms", down="50ms")
    assert len(actor.left(record.id)) == 1
    until(lambda: undo.expired(state, record))  # no run renews it, and no warden watches
    until(lambda: actor.left(record.id) == [])
    assert undo.heal(state, record.id).state == "clean"
    until(servers[0].pids)


def test_whoever_heals_ends_the_crash_loop_of_a_dead_injector(state: Path, servers: list[Server]) -> None:
    code = (
        "from engine import undo, warden; from engine.faults.crash_loop import CrashLoop;"
        "from engine.target import Node; from pathlib import Path; import sys, time;"
        "state = Path(sys.argv[1]); warden.ensure(state);"
        "node = Node('n1', sys.argv[2], control='process', control_params={'pid_file': sys.argv[3]});"
        "undo.inject(state, undo.prepare(state, 'r', 'f0', 'crash-loop', CrashLoop(lives=0.2), node, 60));"
        "print('hurt', flush=True); time.sleep(60)"
    )
    server = servers[0]
    injector = subprocess.Popen(
        [sys.executable, "-c", code, str(state), server.node.address, str(server.file)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert injector.stdout
    assert injector.stdout.readline() == "hurt\n"
    (record,) = undo.records(state)
    injector.kill()
    injector.wait()
    injector.stdout.close()

    until(lambda: undo.records(state) == [])
    assert actor.left(record.id) == []
    until(server.pids)
    for process in psutil.process_iter(["cmdline"]):
        if str(state) in (process.info["cmdline"] or []) and "warden" in process.info["cmdline"]:
            process.terminate()
    until(lambda: not warden.watching(state))


def hurting(state: Path, servers: list[Server], step: dict[str, Any], told: list[tuple[str, str]]) -> Hurting:
    experiment = Experiment.from_dict(
        {"name": "x", "target": "t", "steady_state": [{"probe": "tcp"}], "faults": [step]}
    )
    target = Target("t", tuple(server.node for server in servers))

    def say(one: Hurt) -> None:
        told.append((one.id, one.state))

    return Hurting(experiment, target, state, "r", say)


def perform(one: Hurting, look: Any = lambda: None) -> None:
    from engine.clock import now_ns

    since = now_ns()

    def settled() -> bool:
        one.tick(since)
        look()
        return one.settled()

    try:
        until(settled)
    finally:
        one.heal_all()
        one.close()


def test_a_rolling_restart_has_one_node_down_at_a_time(state: Path, servers: list[Server]) -> None:
    before = [server.pids() for server in servers]
    most = 0

    def look() -> None:
        nonlocal most
        most = max(most, sum(not server.pids() for server in servers))

    told: list[tuple[str, str]] = []
    step = {"at": "0s", "for": "8s", "rolling-restart": {"pause": "200ms"}}
    perform(hurting(state, servers, step, told), look)
    until(lambda: all(server.pids() for server in servers))
    assert all(server.pids() != old for server, old in zip(servers, before, strict=True))
    assert most <= 1
    assert [s for _, s in told] == ["injecting", "active", "healing", "clean"]


def test_a_pulse_hurts_and_heals_each_time(state: Path, servers: list[Server]) -> None:
    told: list[tuple[str, str]] = []
    step = {"at": "0s", "for": "1200ms", "pulse": "200ms on, 300ms off", "pause": {"nodes": ["n2"]}}
    perform(hurting(state, servers, step, told))
    assert [id for id, s in told if s == "clean"] == ["f0.1", "f0.2", "f0.3"]
    assert undo.records(state) == []


def test_what_somebody_else_has_paused_is_not_paused(state: Path, servers: list[Server]) -> None:
    (pid,) = servers[0].pids()
    os.kill(pid, signal.SIGSTOP)
    until(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED)
    try:
        with pytest.raises(Refused, match="not by chaosboard"):
            hurt(state, servers[0], "pause")
        assert undo.records(state) == []
        assert psutil.Process(pid).status() == psutil.STATUS_STOPPED
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_halt_between_the_record_and_the_injection_leaves_nothing(
    state: Path, servers: list[Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    fault: Fault = build(REGISTRY.get("pause"), {})
    record = undo.prepare(state, "r", "f0", "pause", fault, servers[0].node, 60)
    assert undo.heal(state, record.id).state == "clean"
    with pytest.raises(Exception, match="healed before it was complete"):
        undo.inject(state, record)
    (pid,) = servers[0].pids()
    assert psutil.Process(pid).status() != psutil.STATUS_STOPPED


def test_fifty_records_heal_side_by_side(state: Path, servers: list[Server]) -> None:
    dice = random.Random(1)
    nodes = [Node(f"m{i}", f"127.0.0.1:{i}", control="memory") for i in range(1, 51)]
    fault: Fault = build(REGISTRY.get("kill"), {})
    for node in dice.sample(nodes, len(nodes)):
        undo.inject(state, undo.prepare(state, "r", "f0", "kill", fault, node, 60))
    assert [h.state for h in undo.heal_all(state)] == ["clean"] * 50
    assert undo.records(state) == []
