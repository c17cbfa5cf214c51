"""The far end of a carrier, over a pipe: it hurts, keeps the lease and heals on its own."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from engine import undo
from engine.drivers import Carrier
from tests.engine.far import FarEnd, end_warden
from tests.waiting import until


@pytest.fixture
def far(tmp_path: Path) -> Iterator[FarEnd]:
    one = FarEnd(tmp_path / "far")
    yield one
    one.close()
    end_warden(one.state)


@pytest.fixture
def sleeper() -> Iterator[psutil.Process]:
    child = subprocess.Popen(["sleep", "600"])
    yield psutil.Process(child.pid)
    child.kill()
    child.wait()


def node(of: psutil.Process) -> dict[str, Any]:
    return {"name": "one", "address": "127.0.0.1:1", "driver": {"process": {"pid": of.pid}}}


def paused(process: psutil.Process) -> bool:
    return process.status() == psutil.STATUS_STOPPED


def test_it_says_what_would_be_hurt_and_why_not(far: FarEnd, sleeper: psutil.Process) -> None:
    assert far.ask("hello")["python"].startswith("3.")
    assert far.ask("victim", node={"kind": "", **node(sleeper)}) == {"what": f"pid {sleeper.pid}, sleep 600"}
    assert far.ask("refusal", node={"kind": "", **node(sleeper)}) == {"why": ""}
    why = far.ask("refusal", node={"kind": "", **node(psutil.Process(far.process.pid))})["why"]
    assert "chaosboard itself" in why


def test_it_hurts_and_heals_by_its_own_record(far: FarEnd, sleeper: psutil.Process) -> None:
    assert far.prepare("a1", "pause", node(sleeper)) == {}
    assert [r.id for r in undo.records(far.state)] == ["a1"]
    assert not paused(sleeper)
    assert far.ask("inject", id="a1") == {}
    until(lambda: paused(sleeper))
    for _ in range(2):
        assert far.ask("heal", id="a1")["gone"] is True
        assert not paused(sleeper)
    assert undo.records(far.state) == []


def test_silence_heals_there_even_when_the_pipe_is_cut(far: FarEnd, sleeper: psutil.Process) -> None:
    far.prepare("a1", "pause", node(sleeper), 600)
    far.ask("inject", id="a1")
    until(lambda: paused(sleeper))
    far.process.kill()
    until(lambda: not paused(sleeper), undo.LEASE + 5)
    until(lambda: undo.records(far.state) == [])


def test_its_errors_are_answers(far: FarEnd, sleeper: psutil.Process) -> None:
    gone = {"name": "one", "address": "127.0.0.1:1", "driver": {"process": {"match": "no such process"}}}
    refused = far.prepare("a1", "pause", gone)
    assert refused["kind"] == "Refused"
    assert "no such process" in refused["error"]
    assert "unknown parameter" in far.prepare("a1", "pause", node(sleeper), loudness=3)["error"]
    assert "called 'sing'" in far.prepare("a1", "sing", node(sleeper))["error"]
    assert "nothing was hurt" in far.ask("inject", id="never-prepared")["error"]
    assert "broke" in far.ask("dance")["error"]
    assert undo.records(far.state) == []


class Wire:
    """A carrier's record and answer, without the way between them."""

    def __init__(self, answered: dict[str, Any], captured: dict[str, Any]) -> None:
        self.id, self.captured, self._answered = "a1", captured, answered

    def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        return self._answered


def test_a_host_that_lost_its_record_is_not_called_clean(far: FarEnd) -> None:
    lost = Wire(far.ask("heal", id="a1"), {"prepared": "there"})
    never = Wire(far.ask("heal", id="a1"), {})
    assert Carrier.heal_far(lost, lost).gone is None
    assert Carrier.heal_far(never, never).gone is True


def test_what_is_its_to_start_is_started_once_and_ended(far: FarEnd) -> None:
    one = {"kind": "", "name": "one", "address": "127.0.0.1:1",
           "driver": {"process": {"command": ["sleep", "601"]}}}  # fmt: skip
    assert far.ask("ready", node=one) == {"started": True}
    assert far.ask("ready", node=one) == {"started": False}
    assert "sleep 601" in far.ask("victim", node=one)["what"]
    assert far.ask("release", node=one) == {}
    assert far.ask("victim", node=one) == {"what": ""}


def test_what_was_left_hurt_is_healed_when_it_comes_up(far: FarEnd, sleeper: psutil.Process) -> None:
    far.prepare("a1", "pause", node(sleeper), 600)
    far.ask("inject", id="a1")
    far.process.kill()
    end_warden(far.state)
    until(lambda: paused(sleeper))
    (undo.folder(far.state) / "a1.lease").write_text("0")  # as after an hour
    again = FarEnd(far.state)
    try:
        until(lambda: not paused(sleeper), undo.LEASE + 5)
    finally:
        again.close()
