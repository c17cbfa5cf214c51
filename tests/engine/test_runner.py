"""Whole runs on simulated nodes: what is measured, what is told, and that it heals whatever happens."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engine import concluding, judge, runner, state, undo
from engine.drivers.memory import Memory
from engine.errors import BadInput, EngineError, Refused
from engine.events import Event, read
from engine.experiment import Experiment
from tests.waiting import until

NODES = [{"name": f"n{i}", "address": f"127.0.0.1:{i}", "driver": {"memory": {}}} for i in (1, 2, 3)]


def document(**changes: Any) -> dict[str, Any]:
    return {
        "name": "a simulated node dies",
        "target": "sim",
        "targets": [{"name": "sim", "kind": "memory", "nodes": NODES}],
        "steady_state": [
            {"probe": {"memory": {"nodes": "all"}}, "every": "20ms", "timeout": "500ms",
             "tolerance": {"availability": ">= 80%"}}  # a busy machine misses a look now and then
        ],
        "baseline": "500ms",
        "faults": [{"at": "0s", "for": "600ms", "kill": {"nodes": "n2"}}],
        "recovery": {"timeout": "10s", "stable": "500ms"},
        **changes,
    }  # fmt: skip


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CHAOSBOARD_STATE", str(tmp_path))
    return tmp_path


class Heard(list[Event]):
    """What `emit` was told; `on` is called with each event."""

    def __init__(self, on: Any = None) -> None:
        self.on = on or (lambda event: None)

    def __call__(self, events: list[Event]) -> None:
        for event in events:
            self.append(event)
            self.on(event)

    def faults(self) -> list[str]:
        return [e.data["state"] for e in self if e.kind == "fault"]


def perform(folder: Path, heard: Heard, stop: Any = lambda: "", **changes: Any) -> dict[str, Any]:
    one = Experiment.from_dict(document(**changes))
    return runner.run(
        one, one.targets[0], directory=folder / "run", state=folder, emit=heard, stop=stop, run_id="r1"
    )


def test_a_run_is_measured_told_and_judged(folder: Path) -> None:
    heard = Heard()
    result = perform(folder, heard, expect={"recover_within": "5s", "availability": ">= 10%"})

    assert result["verdict"] == "held", result
    assert [e.n for e in heard] == list(range(1, len(heard) + 1))
    assert heard == read(folder / "run" / "events.jsonl")
    assert heard.faults() == ["injecting", "active", "healing", "clean"]
    assert heard[-1].data["phase"] == "done"
    (fault,) = result["faults"]
    lasted = fault["healed_at"] - fault["injected_at"]
    (row,) = fault["traffic"]
    assert (row["of"], row["stopped"]) == ("n2", True)
    assert fault["injected_at"] < fault["healing_at"] <= row["resumed_at"]
    assert row["after"] == pytest.approx(max(row["resumed_at"] - fault["healed_at"], 0.0), abs=1e-5)
    (outage,) = result["recovery"]["outages"]
    assert outage["duration"] == pytest.approx(lasted, abs=0.2)
    assert result["recovery"]["time_to_detect"] < 0.3
    assert result["recovery"]["time_to_recover_from_injected"] == pytest.approx(lasted, abs=0.3)
    before, during, after = result["phases_measured"]
    assert (before["availability"], after["availability"]) == (1.0, pytest.approx(1.0, abs=0.05))
    assert during["availability"] < 0.2
    intervals = [e.data["t"] for e in heard if e.kind == "interval"]
    assert intervals == pytest.approx([i * 0.1 for i in range(len(intervals))])


def test_a_stored_run_is_judged_again_the_same(folder: Path) -> None:
    result = perform(folder, Heard())
    assert judge.judge(folder / "run") == result == json.loads((folder / "run" / "result.json").read_text())


def test_an_expectation_that_fails_is_violated(folder: Path) -> None:
    result = perform(folder, Heard(), expect={"recover_within": "100ms"})
    assert result["verdict"] == "violated"
    assert result["expectations"][0]["verdict"] == "violated"
    assert "promised and not kept: recovers ≤ " in result["headline"]


def test_the_record_is_there_before_the_fault_is_told_and_the_fault_comes_after(folder: Path) -> None:
    seen = []

    def look(event: Event) -> None:
        if event.kind == "fault" and event.data["state"] == "injecting":
            seen.append((len(undo.records(folder)), Memory().look("n2").get("down", False)))

    perform(folder, Heard(look))
    assert seen == [(1, False)]


def test_an_abort_heals_at_once_and_is_unknown(folder: Path) -> None:
    reason: list[str] = []
    heard = Heard(lambda e: reason.append("aborted by ada") if e.data.get("state") == "active" else None)
    faults = [{"at": "0s", "for": "60s", "kill": {"nodes": "n2"}}]
    result = perform(folder, heard, lambda: reason[0] if reason else "", faults=faults)
    assert (result["verdict"], result["ending"], result["clean"]) == ("unknown", "aborted", True)
    assert result["headline"].startswith("Aborted after ")
    assert result["headline"].endswith(" by ada")
    assert not Memory().look("n2")["down"]


def test_an_abort_condition_ends_it(folder: Path) -> None:
    condition = {"probe": "memory", "tolerance": {"availability": "< 20%"}, "over": "300ms"}
    faults = [{"at": "0s", "for": "60s", "kill": {"nodes": "n2"}}]
    result = perform(folder, Heard(), faults=faults, abort_when=[condition])
    assert result["ending"] == "aborted"
    assert "memory availability < 20%" in result["ending_reason"]


def test_a_fault_that_somebody_healed_early_is_told_so(folder: Path) -> None:
    def heal(event: Event) -> None:
        if event.data.get("state") == "active":
            undo.heal_all(folder)

    heard = Heard(heal)
    result = perform(folder, heard, faults=[{"at": "0s", "for": "3s", "kill": {"nodes": "n2"}}])
    assert heard.faults() == ["injecting", "active", "clean"]
    assert result["faults"][0]["healed_at"] - result["faults"][0]["injected_at"] < 2


def test_a_halt_ends_it_and_prevents_the_next(folder: Path) -> None:
    def halt(event: Event) -> None:
        if event.data.get("state") == "active":
            state.write(folder / "halt", {"by": "ada", "reason": "a real incident"})

    faults = [{"at": "0s", "for": "60s", "kill": {"nodes": "n2"}}]
    result = perform(folder, Heard(halt), faults=faults)
    assert (result["ending"], result["clean"]) == ("halted", True)
    (folder / "run").rename(folder / "first")
    again = Heard()
    assert perform(folder, again)["ending"] == "halted"
    assert again.faults() == []


def test_a_sick_system_is_not_hurt(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "SETTLE", 1.5)
    Memory()._set("n3", paused=True)
    heard = Heard()
    result = perform(folder, heard)
    assert (result["verdict"], result["ending"], heard.faults()) == ("unknown", "failed", [])
    assert "n3" in result["headline"]


def test_a_listener_that_refuses_prevents_the_injection(folder: Path) -> None:
    def refuse(event: Event) -> None:
        if event.data.get("state") == "injecting":
            raise Refused("The database cannot be written, so nothing is injected.")

    result = perform(folder, Heard(refuse))
    assert result["ending"] == "failed"
    assert not Memory().look("n2").get("down")


def test_a_run_whose_process_was_killed_is_healed_and_judged(folder: Path) -> None:
    file = folder / "one.yaml"
    file.write_text(json.dumps(document(faults=[{"at": "0s", "for": "60s", "pause": {"nodes": "n2"}}])))
    command = [sys.executable, "-m", "engine", "run", str(file)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    for line in process.stdout:
        if "pause n2: active" in line:
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert Memory().look("n2")["paused"]

    until(lambda: not Memory().look("n2")["paused"], undo.LEASE + 2)

    until(lambda: not undo.records(folder))
    (directory,) = (folder / "runs").iterdir()
    heard = Heard()
    result = concluding.conclude(
        directory, folder, directory.name, ending="aborted", reason="the worker died", emit=heard, after=3
    )
    assert (result["ending"], result["clean"], result["verdict"]) == ("aborted", True, "unknown")
    assert [e.n for e in heard] == list(range(4, 4 + len(heard)))
    assert heard.faults()[-1] == "clean"


def test_the_command_line_tells_the_verdict_by_its_exit_status(folder: Path) -> None:
    def run(text: str, *more: str) -> "subprocess.CompletedProcess[str]":
        file = folder / "one.yaml"
        file.write_text(text)
        command = [sys.executable, "-m", "engine", "run", str(file), *more]
        return subprocess.run(command, capture_output=True, text=True, env=os.environ)

    done = run(json.dumps(document()), "--json", str(folder / "out.json"))
    assert done.returncode == 0, done.stderr
    assert json.loads((folder / "out.json").read_text())["faults"][0]["state"] == "clean"
    assert "kill n2 (SIGKILL)" in run(json.dumps(document()), "--dry-run").stdout
    bad = run("name: x\nbaselin: 3\n")
    assert bad.returncode == 3
    assert "line 2, baselin: unknown key" in bad.stderr
    assert "Traceback" not in bad.stderr


def test_a_target_that_another_run_hurts_is_refused_by_its_name(folder: Path) -> None:
    held = state.lock(folder / "locks" / "sim.lock", "r0")
    assert not isinstance(held, str)
    result = perform(folder, Heard())
    assert result["verdict"] == "unknown"
    assert "sim is being hurt by run r0 already" in result["ending_reason"]
    held.close()


def test_a_leader_that_has_moved_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    led = iter(["n1", "n3"])
    monkeypatch.setattr("engine.inspect.leader", lambda target: next(led))
    heard = Heard()
    perform(folder, heard, faults=[{"at": "0s", "for": "300ms", "kill": {"nodes": "leader"}}])
    (injecting,) = [e.data for e in heard if e.kind == "fault" and e.data["state"] == "injecting"]
    assert injecting["nodes"] == ["n3"]
    assert injecting["text"] == "n1 led before; n3 leads now"


TWICE = [
    {"at": "0s", "for": "600ms", "kill": {"nodes": "n2"}},
    {"at": "200ms", "for": "200ms", "pause": {"nodes": "n2"}},
]


def test_a_node_is_hurt_twice_at_once_only_where_that_is_said(folder: Path) -> None:
    with pytest.raises(BadInput, match="n2 would be hurt by kill and pause at once"):
        perform(folder, Heard(), faults=TWICE)
    heard = Heard()
    result = perform(folder, heard, faults=TWICE, together=True)
    assert [f["state"] for f in result["faults"]] == ["clean", "clean"]
    assert Memory().look("n2") == {"down": False, "paused": False}


def test_a_halt_that_takes_a_fault_back_before_it_was_injected_is_a_halt(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def halted(state_: Path, record: undo.UndoRecord) -> undo.UndoRecord:
        state.halt(state_, "ada", "an incident")
        raise EngineError("it was healed before it was complete")

    monkeypatch.setattr(undo, "inject", halted)
    result = perform(folder, Heard())
    assert (result["ending"], result["ending_reason"]) == ("halted", "Halted by ada: an incident")
