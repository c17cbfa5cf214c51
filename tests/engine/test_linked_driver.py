"""Pairs of nodes behind link proxies: whose a connection is, is asked of the kernel, and no root is needed for it."""

import itertools
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from engine import owned, ports, proxy, undo
from engine.drivers.linked import Linked
from engine.errors import EngineError, Refused
from engine.faults import Fault
from engine.faults.duplicate import Duplicate
from engine.faults.latency import Latency
from engine.faults.loss import Loss
from engine.faults.partition import Partition
from engine.lab.links import end_proxy, is_proxy
from engine.target import Node, Target
from tests.waiting import until

TALKING = Path(__file__).with_name("talking.py")
GREETINGS = (f"hello{i}" for i in itertools.count())
FOR = 60.0  # seconds that a fault is to last, if nobody heals it before
INJECTS = """
import json, os, sys
from pathlib import Path
from engine import undo
from engine.faults.partition import Partition
from engine.target import Target
state, target = Path(os.environ["CHAOSBOARD_STATE"]), Target.from_dict(json.loads(sys.argv[1]))
aim = Partition(links=["n1 <-> n2"]).aim(target, None, None)
for piece in aim.pieces:
    undo.inject(state, undo.prepare(state, "r", "f", "partition", piece.fault, piece.node, 2, peers=piece.peers))
print("cut", flush=True)
sys.stdin.read()
"""


@dataclass
class Talker:
    """A node, and the program behind it; `door` is where its peers reach it, `port` where it listens."""

    name: str
    folder: Path
    port: int
    door: str
    said: list[str] = field(default_factory=list)

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-S", str(TALKING), str(self.port)], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        self.pid_file.write_text(f"{self.process.pid}\n")
        self.said.clear()
        threading.Thread(target=self._listen, args=(self.process,), daemon=True).start()
        until(lambda: "up" in self.said)

    def _listen(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout
        for line in process.stdout:
            self.said.append(line.strip())

    @property
    def pid_file(self) -> Path:
        return self.folder / f"{self.name}.pid"

    @property
    def node(self) -> Node:
        address = f"127.0.0.1:{self.port}"
        linked = Linked(pid_file=str(self.pid_file), doors=[f"{self.door} -> {address}"])
        params = {"pid_file": linked.pid_file, "doors": linked.doors}
        return Node(self.name, address, control="linked", control_params=params)

    def send(self, other: "Talker", text: str, *, child: bool = False) -> None:
        assert self.process.stdin
        self.process.stdin.write(f"{'child ' * child}{other.door} {text}\n")
        self.process.stdin.flush()

    def heard(self, text: str) -> bool:
        return f"heard {text}" in self.said

    def answered(self, text: str) -> bool:
        return f"answer {text}" in self.said

    def end(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture(scope="module")
def state() -> Iterator[Path]:
    with (
        tempfile.TemporaryDirectory(prefix="chaosboard-linked-") as folder,
        pytest.MonkeyPatch.context() as change,
    ):
        change.setenv("CHAOSBOARD_STATE", folder)
        yield Path(folder)
        end_proxy(Path(folder))


@pytest.fixture(scope="module")
def talkers(state: Path) -> Iterator[list[Talker]]:
    numbers = ports.choose(6)
    found = [Talker(f"n{i + 1}", state, numbers[i], f"127.0.0.1:{numbers[3 + i]}") for i in range(3)]
    try:
        for one in found:
            one.start()
            Linked(**one.node.control_params).prepare(one.node)
        yield found
    finally:
        for one in found:
            one.end()


@pytest.fixture
def three(state: Path, talkers: list[Talker]) -> Iterator[list[Talker]]:
    """Each has spoken to each already, so that there is a connection of every ordered pair."""
    greeting = next(GREETINGS)
    for one in talkers:
        for other in talkers:
            if one is not other:
                one.send(other, f"{greeting}-{one.name}")
                until(lambda one=one, other=other: other.heard(f"{greeting}-{one.name}"))
    yield talkers
    undo.heal_all(state)


def target(three: list[Talker]) -> Target:
    return Target("talkers", tuple(one.node for one in three))


def hurt(state: Path, three: list[Talker], fault: Fault, kind: str = "partition") -> list[str]:
    aim = fault.aim(target(three), None, random.Random(0))
    prepared = [
        undo.prepare(state, "r", "f", kind, piece.fault, piece.node, FOR, peers=piece.peers)
        for piece in aim.pieces
    ]
    return [undo.inject(state, record).id for record in prepared]


def heal(state: Path, ids: list[str]) -> set[str]:
    return {healed.state for id in ids if (healed := undo.heal(state, id))}


def test_what_one_node_sends_another_is_held_back_and_nothing_else_is(
    state: Path, three: list[Talker]
) -> None:
    one, two, other = three
    ids = hurt(state, three, Partition(links=["n1 -> n2"]))
    one.send(two, "late")
    one.send(other, "to-another")
    other.send(two, "from-another")
    two.send(one, "the-other-way")
    until(lambda: other.heard("to-another") and two.heard("from-another") and one.heard("the-other-way"))
    until(lambda: other.answered("from-another"))
    assert not two.heard("late")
    assert not two.answered("the-other-way")  # for n1 sends the answer
    assert heal(state, ids) == {"clean"}
    until(lambda: two.heard("late") and two.answered("the-other-way"))


def test_new_connections_of_a_pair_are_cut_too_and_those_of_clients_and_other_nodes_are_not(
    state: Path, three: list[Talker]
) -> None:
    one, two, other = three
    ids = hurt(state, three, Partition(links=["n1 <-> n2", "n1 <-> n3"]))
    one.send(two, "of-a-child", child=True)
    with socket.create_connection(("127.0.0.1", int(two.door.rpartition(":")[2]))) as client:
        client.sendall(b"of-a-client\n")
        assert client.makefile().readline() == "of-a-client\n"
    other.send(two, "of-another", child=True)
    until(lambda: two.heard("of-another"))
    assert not two.heard("of-a-child")
    assert heal(state, ids) == {"clean"}
    until(lambda: two.heard("of-a-child"))


def test_a_node_that_is_started_again_stays_cut_off(state: Path, three: list[Talker]) -> None:
    one, two, other = three
    ids = hurt(state, three, Partition(links=["n1 <-> n2"]))
    one.end()
    one.start()
    one.send(two, "after-its-start")
    one.send(other, "also")
    until(lambda: other.heard("also"))
    assert not two.heard("after-its-start")
    assert heal(state, ids) == {"clean"}
    until(lambda: two.heard("after-its-start"))


def test_links_are_healed_one_by_one(state: Path, three: list[Talker]) -> None:
    one, two, other = three
    first = hurt(state, three, Partition(links=["n1 -> n2"]))
    second = hurt(state, three, Partition(links=["n1 -> n3"]))
    one.send(two, "a")
    one.send(other, "b")
    assert heal(state, first) == {"clean"}
    until(lambda: two.heard("a"))
    assert not other.heard("b")
    assert heal(state, second) == {"clean"}
    until(lambda: other.heard("b"))


def test_a_delay_is_on_the_connections_of_a_node_with_its_peers_both_ways(
    state: Path, three: list[Talker]
) -> None:
    one, two, other = three
    ids = hurt(state, three, Latency(nodes=["n1"], between="peers", delay=0.2), "latency")
    for sender, receiver, least in ((one, two, 0.4), (two, one, 0.4), (two, other, 0.0)):
        began = time.monotonic()
        sender.send(receiver, f"at-{receiver.name}")
        until(lambda sender=sender, receiver=receiver: sender.answered(f"at-{receiver.name}"))
        assert time.monotonic() - began >= least
    assert heal(state, ids) == {"clean"}


def test_lost_connections_are_those_of_the_pair(state: Path, three: list[Talker]) -> None:
    _, two, other = three
    doors = {one.name: one.door for one in three}
    before = {door: connections(state, door) for door in doors.values()}
    ids = hurt(state, three, Loss(nodes=["n1"], between="peers", share=1.0), "loss")
    until(lambda: connections(state, doors["n1"]) == before[doors["n1"]] - 2)
    until(lambda: connections(state, doors["n2"]) == before[doors["n2"]] - 1)
    two.send(other, "still-there")
    until(lambda: other.heard("still-there"))
    assert heal(state, ids) == {"clean"}


def connections(state: Path, door: str) -> int:
    """As the kernel counts those that are accepted there."""
    port = int(door.rpartition(":")[2])
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return sum(line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "01" for line in lines)


def test_single_packets_of_a_stream_are_refused_before_anything_is_hurt(
    state: Path, three: list[Talker]
) -> None:
    with pytest.raises(Refused, match="links of UDP"):
        hurt(state, three, Duplicate(nodes=["n1"], between="peers"), "duplicate")
    assert undo.records(state) == []


def test_a_peer_without_doors_is_refused_in_words(state: Path, three: list[Talker]) -> None:
    plain: dict[str, Any] = {
        "name": "n2",
        "address": three[1].node.address,
        "driver": {"process": {"port": 80}},
    }
    service = Target.from_dict({"name": "talkers", "nodes": [three[0].node.to_dict(), plain]})
    piece = Partition(nodes=["n1"], between="peers").aim(service, None, random.Random(0)).pieces[0]
    with pytest.raises(Refused, match="n2 has no doors"):
        undo.prepare(state, "r", "f", "partition", piece.fault, piece.node, FOR, peers=piece.peers)


def test_who_is_not_told_apart_cannot_be_named(state: Path, three: list[Talker]) -> None:
    order = {"do": "disturb", "listen": three[0].door, "mark": "m", "how": {"cut": True}, "until": 0}
    with pytest.raises(EngineError, match="not told apart: n9"):
        proxy.call(state, {**order, "openers": ["n9"]})


def test_the_cut_of_a_pair_ends_at_its_time_when_everybody_who_could_heal_it_is_killed(
    state: Path, three: list[Talker]
) -> None:
    one, two, _ = three
    argv = [sys.executable, "-c", INJECTS, json.dumps(target(three).to_dict())]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout
        assert child.stdout.readline() == "cut\n"
        child.send_signal(signal.SIGKILL)
    assert proxy.call(state, {"do": "read", "listen": two.door})["marks"]
    one.send(two, "at-last")
    until(lambda: two.heard("at-last"))
    until(lambda: not any(proxy.call(state, {"do": "read", "listen": t.door})["marks"] for t in three))


def test_a_cut_whose_proxy_is_killed_is_told_as_gone_and_the_doors_come_back(
    state: Path, three: list[Talker]
) -> None:
    one, two, _ = three
    ids = hurt(state, three, Partition(links=["n1 <-> n2"]))
    kill_proxy(state)
    assert heal(state, ids) == {"clean"}
    Linked(**one.node.control_params).prepare(one.node)
    one.send(two, "again", child=True)
    until(lambda: two.heard("again"))


@pytest.mark.skipif(os.geteuid() != 0, reason="takes somebody else's process")
def test_a_member_of_another_user_is_refused_by_a_proxy_that_may_not_look_at_it(three: list[Talker]) -> None:
    """As such a proxy: by the process that asks the kernel."""
    script = (
        "import os, socket; from engine.proxy import openers;"
        "listener = socket.create_server(('127.0.0.1', 0)); os.setresuid(65534, 65534, 65534);"
        f"openers.refuse(listener, {{'n1': [{three[0].process.pid}]}})"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "belongs to another user" in found.stderr


def kill_proxy(state: Path) -> None:
    for process in owned.marked(state):
        if is_proxy(process):
            process.kill()
            until(lambda process=process: not owned.alive(process))
