"""Actions of an extension that is really there: it leaves files behind, and takes them away."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engine import actor, drivers, toolkit, undo
from engine.errors import BadInput, Refused
from engine.faults import REGISTRY as FAULTS
from engine.parameters import build
from engine.target import Node
from tests.engine.far import ROOT, end_warden
from tests.waiting import until

EXTENSION = """
import os, time
from os import remove

def leave(path: str, size: int = 1, configuration=None, secrets=None):
    print("what it prints is not its answer")
    open(path, "w").write("x" * size)

def take_away(path: str):
    if os.path.exists(path + ".nailed"):
        raise RuntimeError("it is nailed down")
    if os.path.exists(path):
        os.remove(path)

def is_gone(path: str) -> bool:
    return not os.path.exists(path)

def nothing():
    pass

def slow(path: str):
    open(path, "w").write("begun")
    time.sleep(600)
    open(path, "w").write("done")

def end_the_process():
    os._exit(7)
"""
NODE = Node("one", "127.0.0.1:80", control="chaostoolkit", control_params={"timeout": "15s"})


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "extensions" / "chaosfile").mkdir(parents=True)
    (tmp_path / "extensions" / "chaosfile" / "actions.py").write_text(EXTENSION)
    monkeypatch.setenv("CHAOSBOARD_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "extensions"))
    monkeypatch.setenv("CHAOSBOARD_ACTIONS", "chaosaws, chaosfile.actions")
    return tmp_path / "state"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "one.left"


def params(file: Path, **other: Any) -> dict[str, Any]:
    path = {"path": str(file.with_name("${node}.left"))}
    return {
        "action": "chaosfile.actions.leave", "arguments": {**path, "size": 3},
        "rollback": "chaosfile.actions.take_away", "rollback_arguments": path,
        "verify": "chaosfile.actions.is_gone", "verify_arguments": path, **other,
    }  # fmt: skip


def prepare(state: Path, params: dict[str, Any], node: Node = NODE) -> undo.UndoRecord:
    fault = build(FAULTS.get("action"), params, "fault")
    return undo.prepare(state, "r", "f0", "action", fault, node, 60)


def test_an_action_is_called_and_rolled_back_and_verified(state: Path, file: Path) -> None:
    record = prepare(state, params(file))
    assert not file.exists()
    undo.inject(state, record)
    assert file.read_text() == "xxx"
    healed = undo.heal(state, record.id)
    assert (healed.state, healed.text) == ("clean", "chaosfile.actions.is_gone returned True")
    assert not file.exists()
    assert undo.records(state) == []


def test_a_rollback_that_fails_stays_on_record_until_it_does_not(state: Path, file: Path) -> None:
    record = undo.inject(state, prepare(state, params(file)))
    nail = Path(f"{file}.nailed")
    nail.touch()
    healed = undo.heal(state, record.id)
    assert healed.state == "unverified"
    assert "take_away failed: " in healed.text
    assert "it is nailed down" in healed.text
    nail.unlink()
    assert undo.heal(state, record.id).state == "clean"


def test_a_rollback_that_does_nothing_is_stuck(state: Path, file: Path) -> None:
    harmless = params(file, rollback="chaosfile.actions.nothing", rollback_arguments={})
    record = undo.inject(state, prepare(state, harmless))
    healed = undo.heal(state, record.id, patience=0.1)
    assert (healed.state, healed.text) == ("stuck", "chaosfile.actions.is_gone returned False")
    file.unlink()
    assert undo.heal(state, record.id).state == "clean"


def test_what_nobody_verifies_is_unverified_and_rolled_back_once(state: Path, file: Path) -> None:
    record = undo.inject(state, prepare(state, params(file, verify="")))
    assert undo.heal(state, record.id).state == "unverified"
    assert not file.exists()
    file.touch()
    healed = undo.heal(state, record.id)
    assert (healed.state, file.exists()) == ("unverified", True)
    assert "no verify function" in healed.text


def test_an_action_that_is_still_running_is_ended_before_it_is_rolled_back(state: Path, file: Path) -> None:
    """kill -9 of who called it: the warden ends the action and rolls back."""
    record = prepare(state, params(file, action="chaosfile.actions.slow", arguments={"path": str(file)}))
    script = (
        "from engine import undo, warden; from pathlib import Path; import sys; state = Path(sys.argv[1]);"
        "warden.ensure(state); undo.inject(state, undo.record_of(state, sys.argv[2]))"
    )
    child = subprocess.Popen([sys.executable, "-c", script, str(state), record.id], cwd=ROOT)
    try:
        until(lambda: file.exists() or undo.records(state) == [])
        assert len(actor.left(record.id)) == 1
        child.send_signal(signal.SIGKILL)
        child.wait()
        until(lambda: undo.records(state) == [], undo.LEASE + 20)
        assert actor.left(record.id) == []
        assert not file.exists()
        assert undo.record_of(state, record.id).state == "clean"
    finally:
        child.kill()
        end_warden(state)


def test_an_action_that_takes_too_long_is_ended_and_healed(state: Path, file: Path) -> None:
    slow = params(file, action="chaosfile.actions.slow", arguments={"path": str(file)})
    quick = Node(NODE.name, NODE.address, control="chaostoolkit", control_params={"timeout": "4s"})
    record = prepare(state, slow, quick)
    with pytest.raises(Exception, match="slow did not end within 4 s"):
        undo.inject(state, record)
    assert (undo.records(state), file.exists(), actor.left(record.id)) == ([], False, [])


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"action": "os.system", "arguments": {"command": "true"}}, "os.system is not among the actions"),
        ({"rollback": "shutil.rmtree"}, "add shutil to CHAOSBOARD_ACTIONS"),
        ({"verify": "chaosfile.actionsmore.x"}, "actionsmore.x is not among"),
        ({"action": "chaosfile.actions.remove", "arguments": {"path": "x"}}, "posix.remove is not among"),
        ({"action": "chaosfile.actions.missing"}, "does not expose a function called 'missing'"),
        ({"action": "chaosaws.actions.stop"}, "could not find Python module 'chaosaws.actions'"),
        ({"arguments": {}}, "required argument 'path' is missing"),
        ({"arguments": {"path": "x", "colour": 1}}, "argument 'colour' is not part"),
        (
            {"arguments": {"path": "x", "size": "big"}},
            "size of chaosfile.actions.leave must be a whole number",
        ),
        ({"arguments": {"path": 7}}, "path of chaosfile.actions.leave must be a text, not 7"),
        ({"arguments": {"path": "x", "size": True}}, "must be a whole number, not True"),
    ],
)
def test_a_call_that_must_not_or_cannot_be_is_refused_before_anything_happens(
    state: Path, file: Path, other: dict[str, Any], words: str
) -> None:
    with pytest.raises(Refused, match=words):
        prepare(state, params(file, **other))
    assert undo.records(state) == []


def test_nothing_is_allowed_until_it_is(state: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAOSBOARD_ACTIONS", " ")
    with pytest.raises(Refused, match=r"no Chaos Toolkit actions are allowed .* in CHAOSBOARD_ACTIONS"):
        prepare(state, params(file))
    assert "CHAOSBOARD_ACTIONS" in drivers.control(NODE).refusal(NODE)


def test_what_is_not_allowed_any_more_is_not_rolled_back_and_says_so(
    state: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = undo.inject(state, prepare(state, params(file)))
    with monkeypatch.context() as changed:
        changed.setenv("CHAOSBOARD_ACTIONS", "chaosaws")
        healed = undo.heal(state, record.id)
        assert healed.state == "unverified"
        assert "is not among the actions that are allowed" in healed.text
    assert undo.heal(state, record.id).state == "clean"


def test_a_function_that_ends_its_process_is_told(file: Path) -> None:
    with pytest.raises(Exception, match=r"end_the_process ended its process without an answer \(7\)"):
        toolkit.run({"function": "chaosfile.actions.end_the_process", "arguments": {}}, {}, 20)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"rollback": "a.b"}, "action: is missing"),
        ({"action": "a.b"}, "rollback: is missing"),
        ({"action": "a.b", "rollback": ""}, "a fault carries its own undo"),
        ({"action": "rm -rf /", "rollback": "a.b"}, "write it as module.function"),
        ({"action": "a.b", "rollback": "a.c", "arguments": "seven"}, "must be a mapping"),
    ],
)
def test_bad_parameters_are_named(given: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        build(FAULTS.get("action"), given, "")


def test_a_tolerance_is_one_of_chaos_toolkit(state: Path, file: Path) -> None:
    where = {"function": "chaosfile.actions.is_gone", "arguments": {"path": str(file)}}
    assert toolkit.look(where, True, {}, 20) == (True, True)
    assert toolkit.look(where, False, {}, 20) == (False, True)
