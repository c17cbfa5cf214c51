"""Topologies on loopback, without root: each pair of nodes, by the connections that one opened to the other."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest
import yaml

from engine import inspect, owned, proxy, undo
from engine.errors import Unreachable
from engine.faults.partition import Partition
from engine.lab.cluster import Cluster
from engine.lab.systems import System
from engine.lab.systems.etcd import Etcd
from engine.lab.systems.nats import Nats
from engine.lab.systems.valkey import Valkey
from engine.target import Target
from tests.rights import another_user
from tests.waiting import until

pytestmark = pytest.mark.systems
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="chaosboard-links-") as folder:  # short: sockets are made in it
        monkeypatch.setenv("CHAOSBOARD_STATE", folder)
        yield Path(folder)
        assert owned.marked(Path(folder)) == []


@contextmanager
def linked(system: System, state: Path) -> Iterator[Cluster]:
    cluster = Cluster(system, state / "lab", state, linked=True)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def cut(state: Path, target: Target, fault: Partition) -> list[undo.UndoRecord]:
    aim = fault.aim(target, inspect.leader(target), Random(0))
    prepared = [
        undo.prepare(state, "r", "f", "partition", piece.fault, piece.node, 60, peers=piece.peers)
        for piece in aim.pieces
    ]
    return [undo.inject(state, record) for record in prepared]


@pytest.mark.parametrize("system", [Etcd(), Nats(), Valkey()], ids=lambda s: type(s).__name__)
def test_a_leader_that_is_cut_from_its_peers_alone_is_replaced_and_still_answers_clients(
    system: System, state: Path
) -> None:
    with linked(system, state) as cluster:
        target = Target.from_dict(cluster.document())
        until(lambda: inspect.leader(target))
        first = str(inspect.leader(target))
        records = cut(state, target, Partition(topology="leader-alone"))
        until(lambda: inspect.leader(target, 0.5) not in (None, first))
        assert all(node.reachable for node in inspect.check(target).nodes)
        assert {undo.heal(state, record.id).state for record in records} == {"clean"}


def test_without_any_rights_links_of_etcd_are_cut_and_healed_one_by_one_each_way_for_itself() -> None:
    links = ["n1 -> n2", "n3 <-> n4", "n5 -> n1, n4"]
    pairs = [{("n1", "n2")}, {("n3", "n4"), ("n4", "n3")}, {("n5", "n1"), ("n5", "n4")}]
    with tempfile.TemporaryDirectory(prefix="chaosboard-rights-") as folder:
        os.chmod(folder, 0o777)
        argv = [*another_user(), sys.executable, "-m", "tests.engine.without_rights", folder, *links]
        environ = {**os.environ, "HOME": folder, "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(argv, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    *told, last = map(json.loads, done.stdout.splitlines())
    seen = [{tuple(pair) for pair in one["seen"]} for one in told[::2]]
    assert seen == [set().union(*pairs[i:]) for i in range(len(pairs) + 1)]
    assert [one["healed"] for one in told[1::2]] == [["clean"]] * 3 + [[]]
    assert last["user"] != 0
    assert last["left"] == 0


def test_the_command_tells_where_its_services_are_and_takes_all_away_when_it_is_interrupted(
    state: Path,
) -> None:
    argv = [sys.executable, "-m", "engine", "lab", "up", "etcd", "--links", "--state", str(state)]
    with subprocess.Popen(
        argv, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=os.environ.copy()
    ) as command:
        assert command.stdout
        said = ""
        while "until Ctrl-C" not in said:
            line = command.stdout.readline()
            assert line, said
            said += line
        file = said.rpartition("services are in ")[2].partition(",")[0]
        services = yaml.safe_load(Path(file).read_text())["targets"]
        target = Target.from_dict(services[0])
        until(lambda: inspect.leader(target))
        command.send_signal(signal.SIGINT)
        assert command.wait(30) == 0
    with pytest.raises(Unreachable):
        proxy.call(state, {"do": "hello"})


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["ended", "killed"])
def test_a_lab_on_loopback_whose_command_is_gone_is_taken_down(number: signal.Signals, state: Path) -> None:
    def engine(*words: str) -> list[str]:
        return [sys.executable, "-m", "engine", "lab", *words, "--state", str(state)]

    def said(*words: str) -> str:
        return subprocess.run(engine(*words), cwd=ROOT, capture_output=True, text=True, check=True).stdout

    with subprocess.Popen(
        engine("up", "etcd", "--links"), cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as command:
        assert command.stdout
        while "until Ctrl-C" not in (line := command.stdout.readline()):
            assert line
        assert said("list") == "etcd: etcd on loopback, behind links\n"
        command.send_signal(number)
        command.wait(60)
    if number == signal.SIGTERM:
        assert said("down") == "No lab is up.\n"
    else:
        assert "its command was killed" in said("list")
        assert said("down") == "etcd: gone\n"
    assert said("list") == "No lab is up.\n"
