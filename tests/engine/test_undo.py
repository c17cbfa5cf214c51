"""The safety contract: written before done, healed by any process, read back from the system."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import psutil
import pytest

from engine import processes, undo, warden
from engine.drivers.memory import Memory
from engine.errors import Refused
from engine.faults.kill import Kill
from engine.faults.pause import Pause
from engine.target import Node
from tests.waiting import until

NODE = Node("n1", "127.0.0.1:1", control="memory")


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CHAOSBOARD_STATE", str(tmp_path))
    return tmp_path


@pytest.fixture
def sleeper() -> Iterator[Node]:
    child = subprocess.Popen(["sleep", "600"])
    yield Node("one", "127.0.0.1:1", control="process", control_params={"pid": child.pid})
    child.kill()
    child.wait()


def test_the_record_is_on_disk_before_anything_happens(state: Path) -> None:
    record = undo.prepare(state, "r1", "f0", "kill", Kill(), NODE, 10)
    assert [r.id for r in undo.records(state)] == [record.id]
    assert Memory().look("n1") == {}


def test_healing_needs_only_the_record(state: Path) -> None:
    record = undo.inject(state, undo.prepare(state, "r1", "f0", "kill", Kill(), NODE, 10))
    assert Memory().look("n1") == {"down": True}
    command = [sys.executable, "-m", "engine", "heal", "--all", "--state", str(state)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "clean, n1 is up" in told
    assert Memory().look("n1") == {"down": False}
    assert undo.records(state) == []
    assert undo.record_of(state, record.id).state == "clean"


def test_healing_twice_is_harmless(state: Path) -> None:
    record = undo.inject(state, undo.prepare(state, "r1", "f0", "pause", Pause(), NODE, 10))
    assert undo.heal(state, record.id).state == "clean"
    assert undo.heal(state, record.id) is None


def test_a_node_is_not_hurt_twice(state: Path) -> None:
    undo.prepare(state, "r1", "f0", "kill", Kill(), NODE, 10)
    with pytest.raises(Refused, match="being hurt already"):
        undo.prepare(state, "r2", "f0", "pause", Pause(), NODE, 10)


def test_an_injection_that_fails_after_it_was_healed_is_healed_again(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(self: Kill, driver: Memory, node: Node, *others: object) -> None:
        undo.heal(state, record.id)
        driver.signal({"node": node.name}, "KILL")
        raise OSError("what it needs is gone")

    record = undo.prepare(state, "r1", "f0", "kill", Kill(), NODE, 10)
    monkeypatch.setattr(Kill, "inject", late)
    with pytest.raises(OSError, match="is gone"):
        undo.inject(state, record)
    assert Memory().look("n1") == {"down": False}


def test_what_does_not_heal_stays_stuck_until_it_does(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = undo.inject(state, undo.prepare(state, "r1", "f0", "kill", Kill(), NODE, 10))
    monkeypatch.setattr(Memory, "start", lambda self, node, captured: None)
    assert undo.heal(state, record.id, patience=0.05).state == "stuck"
    assert [r.state for r in undo.records(state)] == ["stuck"]
    monkeypatch.undo()
    monkeypatch.setenv("CHAOSBOARD_STATE", str(state))
    assert undo.heal(state, record.id).state == "clean"


def test_a_record_nobody_renews_expires(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = undo.prepare(state, "r1", "f0", "kill", Kill(), NODE, 60)
    assert not undo.expired(state, record)
    now = undo.time.time() + undo.LEASE
    monkeypatch.setattr(undo.time, "time", lambda: now)
    assert undo.expired(state, record)
    undo.renew(state, record)
    assert not undo.expired(state, record)


def test_the_warden_heals_when_who_paused_is_killed(state: Path, sleeper: Node) -> None:
    """kill -9 of the injecting process: the paused one runs again within the lease."""
    script = f"""
import sys, time
from pathlib import Path
from engine import undo, warden
from engine.faults.pause import Pause
from engine.target import Node
node = Node("one", "127.0.0.1:1", control="process", control_params={sleeper.control_params!r})
state = Path({str(state)!r})
warden.ensure(state)
record = undo.inject(state, undo.prepare(state, "r", "f0", "pause", Pause(), node, 600))
print("paused", flush=True)
while True:
    undo.renew(state, record)
    time.sleep(0.2)
"""
    pid = int(sleeper.control_params["pid"])
    injector = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert injector.stdout.readline() == "paused\n"
    until(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED)  # the kernel stops it when it can
    injector.send_signal(signal.SIGKILL)
    injector.wait()

    until(lambda: psutil.Process(pid).status() != psutil.STATUS_STOPPED, undo.LEASE + 2)

    until(lambda: undo.records(state) == [])
    assert warden.watching(state)
    for process in psutil.process_iter(["cmdline"]):
        if {"warden", str(state)} <= set(process.info["cmdline"] or []):
            assert "part of chaosboard" in processes.refusal(process.pid)
            os.kill(process.pid, signal.SIGTERM)
            until(lambda: not warden.watching(state))


def test_the_records_of_healed_faults_are_kept_for_a_month(state: Path) -> None:
    old, new = (
        undo.inject(
            state, undo.prepare(state, "r1", "f0", "kill", Kill(), Node(name, address, control="memory"), 10)
        )
        for name, address in (("n1", "127.0.0.1:1"), ("n2", "127.0.0.1:2"))
    )
    undo.heal_all(state)
    long_ago = time.time() - undo.KEPT - 60
    os.utime(undo.folder(state) / "done" / f"{old.id}.json", (long_ago, long_ago))
    undo.prune(state)
    assert [r.id for r in undo.recent(state, 10)] == [new.id]


def test_a_fault_is_not_healed_again_while_it_is_being_healed_and_rests_after_it(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = undo.prepare(state, "r1", "f0", "kill", Kill(), NODE, 10)
    work: Future[None] = Future()
    assert not warden.due(state, record, {}, halted=False)
    assert warden.due(state, record, {}, halted=True)
    works = {record.id: warden.Work(work)}
    assert not warden.due(state, record, works, halted=True)
    work.set_result(None)
    assert not warden.due(state, record, works, halted=True)
    rests = [warden.Work(work, tries).rest() for tries in (1, 2, 3, 10, 100_000)]
    assert rests[0] < 0.5  # it must still be healed in time
    assert (rests, rests[-1]) == (sorted(rests), warden.REST)
    monkeypatch.setattr(warden, "AGAIN", 0.0)
    assert warden.due(state, record, works, halted=True)
