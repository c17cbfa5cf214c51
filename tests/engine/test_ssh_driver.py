"""The ssh driver against a real sshd; what it hurts are real processes on its other side."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from engine import drivers, processes, undo, warden
from engine.drivers import _bundle
from engine.drivers.ssh import Ssh
from engine.errors import EngineError, Refused
from engine.faults import REGISTRY as FAULTS
from engine.faults.pause import Pause
from engine.target import Node
from tests.engine.far import ROOT, end_warden
from tests.engine.sshd import Sshd, keygen
from tests.engine.test_process_driver import Napper
from tests.waiting import until

BARE = '#!/bin/sh\necho "Welcome to this host."\nexec {python} -S -s "$@"\n'  # a Python without anybody's packages


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    one = Sshd(tmp_path_factory.mktemp("sshd"))
    yield one
    end_warden(one.home / "state")
    one.stop()


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("CHAOSBOARD_STATE", str(tmp_path))
    yield tmp_path
    end_warden(tmp_path)


@pytest.fixture
def python(sshd: Sshd) -> str:
    path = sshd.folder / "python"
    path.write_text(BARE.format(python=sys._base_executable))
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def napper() -> Iterator[Napper]:
    one = Napper()
    yield one
    for pid in {one.pid, *processes.listeners(one.port)}:
        if psutil.pid_exists(pid):
            os.kill(pid, signal.SIGKILL)
    one.child.wait()


def node(sshd: Sshd, of: Napper, python: str, **other: object) -> Node:
    params = sshd.driver(local={"process": {"port": of.port}}, python=python, **other)
    return Node("one", of.node.address, control="ssh", control_params=params)


def paused(pid: int) -> bool:
    return psutil.Process(pid).status() == psutil.STATUS_STOPPED


def left_there(sshd: Sshd) -> list[str]:
    return [record.line for record in undo.records(sshd.home / "state")]


def test_the_engine_is_copied_once_with_psutil_for_a_bare_python(
    sshd: Sshd, napper: Napper, python: str
) -> None:
    one = node(sshd, napper, python)
    assert drivers.control(one).refusal(one) == ""
    assert f"pid {napper.pid}" in drivers.control(one).victim(one)
    copies = sorted(p.name for p in sshd.home.glob("engine-*"))
    assert copies == [_bundle.bundle(True)[0]]
    assert (sshd.home / copies[0] / "psutil" / "__init__.py").exists()
    assert not list(sshd.home.glob(".*"))
    first = (sshd.home / copies[0]).stat().st_ino
    again = node(sshd, napper, python, folder=f"{sshd.home}/")
    assert drivers.control(again).refusal(again) == ""
    assert (sshd.home / copies[0]).stat().st_ino == first
    equipped = node(sshd, napper, sys.executable)
    assert drivers.control(equipped).refusal(equipped) == ""
    without = sshd.home / _bundle.bundle(False)[0]
    assert sorted(p.name for p in without.iterdir()) == ["engine"]


@pytest.mark.parametrize("fault", ["pause", "kill", "stop", "restart"])
def test_a_process_there_is_hurt_and_healed(
    sshd: Sshd, napper: Napper, python: str, state: Path, fault: str
) -> None:
    one = node(sshd, napper, python)
    record = undo.prepare(state, "r", "f0", fault, FAULTS.get(fault)(), one, 60)
    assert left_there(sshd) == [record.line]
    undo.inject(state, record)
    if fault == "pause":
        until(lambda: paused(napper.pid))
    else:
        until(lambda: napper.child.poll() is not None)
    healed = undo.heal(state, record.id)
    assert (healed.state, undo.records(state), left_there(sshd)) == ("clean", [], [])
    until(lambda: processes.listeners(napper.port))
    assert not paused(min(processes.listeners(napper.port)))
    assert undo.heal(state, record.id) is None


def test_what_is_refused_there_is_refused_here(sshd: Sshd, napper: Napper, python: str, state: Path) -> None:
    one = node(sshd, napper, python)
    held = undo.prepare(state, "r", "f0", "pause", Pause(), one, 60)
    undo._forget(state, held.id)
    with pytest.raises(Refused, match="being hurt already"):  # by the record that is there
        undo.prepare(state, "r", "f0", "pause", Pause(), one, 60)
    assert undo.records(state) == []
    undo.heal(sshd.home / "state", held.id)
    itself = sshd.driver(local={"process": {"pid": os.getppid()}}, python=python)
    assert "chaosboard itself, or what started it" in why(**itself)
    nothing = sshd.driver(local={"process": {"match": "no such process"}}, python=python)
    assert "no such process" in why(**nothing)


INJECTOR = """
import json, sys, time
from pathlib import Path
from engine import undo
from engine.faults.pause import Pause
from engine.target import Node
told = json.loads(sys.argv[1])
state = Path(told["state"])
node = Node("one", told["address"], control="ssh", control_params=told["params"])
record = undo.inject(state, undo.prepare(state, "r", "f0", "pause", Pause(), node, 600))
print("paused", flush=True)
while True:
    undo.renew(state, record)
    time.sleep(0.2)
"""


def injector(one: Node, state: Path) -> "subprocess.Popen[str]":
    """A process that pauses `one` and renews its lease until it is killed."""
    told = {"state": str(state), "address": one.address, "params": one.control_params}
    child = subprocess.Popen(
        [sys.executable, "-c", INJECTOR, json.dumps(told)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert child.stdout
    assert child.stdout.readline() == "paused\n"
    return child


def test_it_heals_there_when_who_paused_is_killed(
    sshd: Sshd, napper: Napper, python: str, state: Path
) -> None:
    """kill -9 of the injector, and nobody else here who would heal."""
    child = injector(node(sshd, napper, python), state)
    until(lambda: paused(napper.pid))
    child.kill()
    child.wait()
    assert not warden.watching(state)
    until(lambda: not paused(napper.pid), undo.LEASE + 5)
    until(lambda: left_there(sshd) == [])


def test_a_cut_connection_is_opened_again_and_the_lease_goes_on(
    sshd: Sshd, napper: Napper, python: str, state: Path
) -> None:
    before = {p.pid for p in sshd.connections()}
    child = injector(node(sshd, napper, python), state)
    try:
        record = undo.records(state)[0]
        [first] = [p for p in sshd.connections() if p.pid not in before]
        for one in [*first.children(recursive=True), first]:
            with contextlib.suppress(psutil.NoSuchProcess):  # it ends with the one before
                one.kill()
        until(lambda: [p for p in sshd.connections() if p.pid not in {*before, first.pid}])
        seen = set()
        until(lambda: seen.add(paused(napper.pid)) or undo.time.time() > record.injected_at + undo.LEASE + 1)
        assert seen == {True}
    finally:
        child.kill()
        child.wait()
    assert undo.heal(state, record.id).state == "clean"


def test_it_heals_there_when_the_connection_is_cut_for_good(
    sshd: Sshd, napper: Napper, python: str, state: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The sshd is gone altogether, while who paused lives on and says that it does."""
    other = Sshd(tmp_path_factory.mktemp("cut"))
    child = injector(node(other, napper, python), state)
    try:
        until(lambda: paused(napper.pid))
        other.stop()
        until(lambda: not paused(napper.pid), undo.LEASE + 5)
        assert child.poll() is None
        [record] = undo.records(state)
        healed = undo.heal(state, record.id)
        assert healed.state == "unverified"
        assert "cannot be reached by SSH" in healed.text
    finally:
        child.kill()
        child.wait()
        end_warden(other.home / "state")


def why(**params: Any) -> str:
    one = Ssh(**params)
    return one.refusal(Node("one", "127.0.0.1:1", control="ssh", control_params=params))


def test_a_host_that_is_not_known_or_another_is_named_with_the_remedy(sshd: Sshd, tmp_path: Path) -> None:
    local = {"process": {"pid": os.getppid()}}
    (tmp_path / "none").write_text("")
    unknown = why(**sshd.driver(local=local, known_hosts=str(tmp_path / "none")))
    assert "is not known" in unknown
    assert f"ssh-keyscan -p {sshd.port} 127.0.0.1 >> {tmp_path / 'none'}" in unknown
    keygen(tmp_path / "another")
    changed = tmp_path / "changed"
    changed.write_text(f"[127.0.0.1]:{sshd.port} {(tmp_path / 'another.pub').read_text()}")
    assert "another host key" in why(**sshd.driver(local=local, known_hosts=str(changed)))
    missing = why(**sshd.driver(local=local, known_hosts=str(tmp_path / "missing")))
    assert "missing, the known_hosts of the ssh driver" in missing


def test_a_wrong_key_and_a_closed_port_are_told_in_words(sshd: Sshd, tmp_path: Path) -> None:
    local = {"process": {"pid": os.getppid()}}
    keygen(tmp_path / "wrong")
    refused = why(**sshd.driver(local=local, key=str(tmp_path / "wrong")))
    assert "does not let" in refused
    assert "authorized_keys" in refused
    assert "is not there" in why(**sshd.driver(local=local, key=str(tmp_path / "nothing")))
    (tmp_path / "no-key").write_text("not a key\n")
    assert "cannot be used" in why(**sshd.driver(local=local, key=str(tmp_path / "no-key")))
    assert "cannot be reached by SSH" in why(**sshd.driver(local=local, port=1))


def test_a_host_without_python_or_with_an_old_one_is_told_in_words(sshd: Sshd) -> None:
    local = {"process": {"pid": os.getppid()}}
    assert "There is no python9 on 127.0.0.1" in why(**sshd.driver(local=local, python="python9"))
    seen = {
        "version": [3, 9],
        "psutil": False,
        "folder": "/",
        "like": ["linux", "mips64", "glibc"],
        "kept": [],
    }
    assert "is Python 3.9; the engine needs 3.11" in why(**sshd.driver(local=local, python=says(sshd, seen)))
    other = why(**sshd.driver(local=local, python=says(sshd, {**seen, "version": [3, 11]})))
    assert "another kind of machine" in other
    assert "apt-get install python3-psutil" in other


def says(sshd: Sshd, seen: dict[str, Any]) -> str:
    """In the place of a host that is not to be had: a python that says what such a host would."""
    path = sshd.folder / f"python-{seen['version'][1]}"
    path.write_text(f"#!/bin/sh\necho '{json.dumps(seen)}'\n")
    path.chmod(0o755)
    return str(path)


def test_local_must_name_one_driver() -> None:
    with pytest.raises(EngineError, match="local must name one driver"):
        drivers.control(Node("one", "h:1", control="ssh", control_params={"host": "h", "local": {}}))
