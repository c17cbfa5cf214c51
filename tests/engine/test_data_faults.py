"""Faults on a node's data directory: really damaged, and back as it was whoever dies when."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from chaosboard import ports
from engine import inspect, processes, undo
from engine.errors import EngineError, Refused
from engine.faults import Fault
from engine.faults.corrupt_files import CorruptFiles
from engine.faults.full_disk import FullDisk
from engine.faults.truncate_files import TruncateFiles
from engine.host import backups, directories, memory_disks, mounts
from engine.lab.cluster import Cluster
from engine.target import Node, Target
from tests.waiting import until

SERVER = """
import hashlib, os, pathlib, socket, sys
port, data = int(sys.argv[1]), pathlib.Path(sys.argv[2])
if "--strict" in sys.argv and hashlib.md5((data / "log").read_bytes()).hexdigest() != (data / "sum").read_text():
    sys.exit("the log does not match its sum")
acked = data.parent / "acked"
if "--onward" in sys.argv and acked.exists() and acked.stat().st_size > (data / "heard").stat().st_size:
    sys.exit("others know that it had heard more")
door = socket.create_server(("127.0.0.1", port))
while True:
    caller, _ = door.accept()
    with caller, open(data / "heard", "ab") as heard:
        text = caller.recv(1 << 20)
        try:
            os.write(heard.fileno(), text)
            if "--onward" in sys.argv:
                acked.write_bytes((data / "heard").read_bytes())
            caller.sendall(b"ok")
        except OSError as error:
            caller.sendall(str(error.strerror).encode())
"""
ROUNDS = int(os.environ.get("ROUNDS", "15"))
QUICK: dict[str, Any] = {"watch": 0.05}
ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Store:
    """A small server that appends what it hears to a file in its data directory."""

    directory: Path
    port: int
    pid_file: Path
    flags: tuple[str, ...] = ()

    @property
    def node(self) -> Node:
        return Node("one", f"127.0.0.1:{self.port}", "", "process", {"pid_file": str(self.pid_file)})

    @property
    def argv(self) -> list[str]:
        return [sys.executable, "-c", SERVER, str(self.port), str(self.directory), *self.flags]

    def start(self) -> None:
        child = subprocess.Popen(self.argv, start_new_session=True, stderr=subprocess.DEVNULL)
        self.pid_file.write_text(f"{child.pid}\n")
        until(self.serves)

    def pids(self) -> list[int]:
        found = [p for p in psutil.process_iter(["cmdline", "status"]) if p.info["cmdline"] == self.argv]
        return [p.pid for p in found if p.info["status"] != psutil.STATUS_ZOMBIE]

    def serves(self) -> bool:
        return bool(processes.listeners(self.port))

    def say(self, text: bytes) -> str:
        import socket

        with socket.create_connection(("127.0.0.1", self.port), 5) as line:
            line.sendall(text)
            return line.recv(100).decode()

    def end(self) -> None:
        for pid in self.pids():
            os.kill(pid, signal.SIGKILL)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "state"
    folder.mkdir()
    monkeypatch.setenv("CHAOSBOARD_STATE", str(folder))
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    import hashlib

    directory = tmp_path / "node" / "data"
    (directory / "wal").mkdir(parents=True)
    content = random.Random(1).randbytes(100_000)
    (directory / "log").write_bytes(content)
    (directory / "sum").write_text(hashlib.md5(content).hexdigest())
    (directory / "wal" / "0.wal").write_bytes(content[:5000] + bytes(70_000))
    (directory / "link").symlink_to("log")
    os.link(directory / "log", tmp_path / "node" / "snapshot")  # as a snapshot that shares its blocks
    os.utime(directory / "wal", ns=(1, 10**18))
    one = Store(directory, ports.choose(1)[0], tmp_path / "node" / "pid")
    try:
        yield one
    finally:
        one.end()


def begin(state: Path, store: Store, fault: Fault, kind: str) -> undo.UndoRecord:
    return undo.inject(state, undo.prepare(state, "r", "f0", kind, fault, store.node, 60))


def whole(store: Store) -> None:
    """One process serves, the one that is known, and nothing of ours is beside the directory."""
    until(store.serves)
    assert store.pids() == [int(store.pid_file.read_text())]
    assert {path.name for path in store.directory.parent.iterdir()} == {"data", "pid", "snapshot"}


def test_bits_are_flipped_and_the_old_files_come_back(store: Store, state: Path) -> None:
    store.start()
    before, inode = backups.manifest(store.directory), store.directory.stat().st_ino
    fault = CorruptFiles(directory=str(store.directory), files=["log"], bytes=10, **QUICK)
    record = begin(state, store, fault, "corrupt-files")
    until(store.serves)
    damaged = backups.manifest(store.directory)
    assert backups.differing(before, damaged) == ["log"]
    assert damaged["log"][:4] == before["log"][:4], "as a bad disk: the time of change is the old one"
    old, new = (store.directory.parent / "snapshot").read_bytes(), (store.directory / "log").read_bytes()
    assert sum((a ^ b).bit_count() for a, b in zip(old, new, strict=True)) == 10
    assert store.say(b"written meanwhile") == "ok"

    healed = undo.heal(state, record.id)

    assert (healed.state, healed.text.partition(", ")[2]) == ("clean", "on the files that it had")
    whole(store)
    assert backups.manifest(store.directory) == before
    assert store.directory.stat().st_ino == inode


def test_a_node_that_refuses_damaged_files_is_a_note_and_no_failure(store: Store, state: Path) -> None:
    store.flags = ("--strict",)
    store.start()
    fault = CorruptFiles(directory=str(store.directory), files=["log"], share=0.01, watch=5)
    record = begin(state, store, fault, "corrupt-files")
    assert record.state == "active"
    assert record.text == "hit: log; one ended when it saw its files"
    assert store.pids() == []
    assert undo.heal(state, record.id).state == "clean"
    whole(store)


def test_the_newest_file_loses_its_end_and_the_zeros_after_it(store: Store, state: Path) -> None:
    store.start()
    (store.directory / "wal" / "1.wal").write_bytes(b"x" * 1000 + bytes(9000))
    before = backups.manifest(store.directory)
    fault = TruncateFiles(directory=str(store.directory), files=["*.wal"], bytes=100, **QUICK)
    record = begin(state, store, fault, "truncate-files")
    assert (store.directory / "wal" / "1.wal").read_bytes() == b"x" * 900
    assert (store.directory / "wal" / "0.wal").stat().st_size == 75_000
    assert undo.heal(state, record.id).state == "clean"
    assert backups.manifest(store.directory) == before


def test_what_is_to_be_kept_stays_where_the_node_lives_on_it(store: Store, state: Path) -> None:
    store.start()
    fault = TruncateFiles(directory=str(store.directory), files=["*.wal"], keep=True, **QUICK)
    record = begin(state, store, fault, "truncate-files")
    healed = undo.heal(state, record.id)
    assert healed.state == "clean"
    assert "as it repaired them" in healed.text
    assert (store.directory / "wal" / "0.wal").stat().st_size == 5000 - 512
    whole(store)


def test_what_is_to_be_kept_comes_back_where_the_node_does_not_run(store: Store, state: Path) -> None:
    store.flags = ("--strict",)
    store.start()
    before = backups.manifest(store.directory)
    fault = CorruptFiles(directory=str(store.directory), files=["log"], keep=True, watch=1)
    record = begin(state, store, fault, "corrupt-files")
    healed = undo.heal(state, record.id)
    assert (healed.state, healed.text.partition(", ")[2]) == ("clean", "on the files that it had")
    assert backups.manifest(store.directory) == before


def test_a_node_that_may_not_forget_goes_on_with_what_it_lived_on(store: Store, state: Path) -> None:
    """As a member of a Raft group, whose peers know what it agreed to since."""
    store.flags = ("--onward",)
    (store.directory / "heard").touch()
    store.start()
    fault = CorruptFiles(directory=str(store.directory), files=["log"], watch=0.5)
    record = begin(state, store, fault, "corrupt-files")
    until(store.serves)
    assert store.say(b"a promise") == "ok"
    healed = undo.heal(state, record.id)
    assert healed.state == "unverified"
    assert "on those that it had before it did not stay up" in healed.text
    undo.acknowledge(state, record.id, "ada")
    assert undo.records(state) == []
    assert (store.directory / "heard").read_bytes() == b"a promise"
    (store.directory.parent / "acked").unlink()
    whole(store)


def test_an_etcd_member_takes_part_again_after_its_files_were_damaged(
    etcd_cluster: Cluster, state: Path
) -> None:
    target = Target.from_dict(etcd_cluster.document())
    leader = target.node(str(inspect.leader(target)))
    victim = next(node for node in target.nodes if node != leader)
    directory = str(etcd_cluster.directory / "{node}.data")
    fault = CorruptFiles(directory=directory, files=["db"], bytes=20)
    record = undo.inject(state, undo.prepare(state, "r", "f0", "corrupt-files", fault, victim, 60))
    for i in range(10):
        put(leader, f"k{i}")
    assert undo.heal(state, record.id).state in ("clean", "unverified")  # as its peers let it go back or not
    until(lambda: all(node.reachable for node in inspect.check(target).nodes))
    put(victim, "after")


def put(node: Node, key: str) -> None:
    body = {"key": b64encode(key.encode()).decode(), "value": "MQ=="}
    answer = httpx.post(f"http://{node.address}/v3/kv/put", json=body, timeout=10, trust_env=False)
    assert answer.status_code == 200


def may_mount() -> None:
    if mounts.may():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("to mount takes root")


def test_a_full_disk_refuses_what_is_too_much_and_keeps_what_was_written(store: Store, state: Path) -> None:
    may_mount()
    store.start()
    before = backups.manifest(store.directory)
    fault = FullDisk(directory=str(store.directory), spare=8192, **QUICK)
    record = begin(state, store, fault, "full-disk")
    until(store.serves)
    assert memory_disks.ours(record.id)
    assert store.say(b"little") == "ok"
    said = [store.say(b"x" * 4096) for _ in range(4)]
    assert said[0] == "ok"
    assert said[-1] == "No space left on device"
    heard = (store.directory / "heard").read_bytes()

    healed = undo.heal(state, record.id)

    assert (healed.state, healed.text.partition(", ")[2]) == ("clean", "on its own disk")
    assert memory_disks.ours(record.id) == []
    whole(store)
    assert (store.directory / "heard").read_bytes() == heard
    after = backups.manifest(store.directory)
    assert backups.differing(before, after) == [".", "heard"]
    assert after["."][:3] == before["."][:3]


PART = """
import os, signal, sys
from pathlib import Path
from engine import faults, undo
faults.REGISTRY.names()
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
state = Path(sys.argv[1])
for line in sys.stdin:
    what, id = line.split()
    if child := os.fork():
        print(child, flush=True)
        continue
    if what == "inject":
        undo.inject(state, undo.record_of(state, id))
    else:
        undo.heal(state, id)
    os._exit(0)
"""


class Parts:
    """Processes that inject and heal as chaosboard's own do, each to be killed at some instant."""

    def __init__(self, state: Path) -> None:
        self.parent = subprocess.Popen(
            [sys.executable, "-c", PART, str(state)], cwd=ROOT, text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def killed(self, what: str, id: str, after: float) -> None:
        """One that does `what` and is killed `after` seconds; it may be done before."""
        assert self.parent.stdin
        assert self.parent.stdout
        self.parent.stdin.write(f"{what} {id}\n")
        self.parent.stdin.flush()
        pid = int(self.parent.stdout.readline())
        time.sleep(after)  # the instant of the kill, at random
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        until(lambda: not psutil.pid_exists(pid))


@pytest.fixture
def parts(state: Path) -> Iterator[Parts]:
    found = Parts(state)
    yield found
    found.parent.communicate()


@pytest.mark.parametrize("kind", ["corrupt-files", "full-disk"])
def test_whoever_is_killed_at_whatever_instant_the_node_gets_its_data_back(
    kind: str, store: Store, state: Path, parts: Parts
) -> None:
    if kind == "full-disk":
        may_mount()
    store.start()
    before = backups.manifest(store.directory)
    where = {"directory": str(store.directory), "watch": 0.0}
    fault = (
        FullDisk(**where) if kind == "full-disk" else CorruptFiles(files=["log", "*.wal"], count=0, **where)
    )
    dice = random.Random()
    for _ in range(ROUNDS):
        record = undo.prepare(state, "r", "f0", kind, fault, store.node, 60)
        parts.killed("inject", record.id, dice.uniform(0, 0.2))
        parts.killed("heal", record.id, dice.uniform(0, 0.1))
        undo.heal(state, record.id)
        assert undo.record_of(state, record.id).state == "clean"
        whole(store)
        assert memory_disks.ours(record.id) == []
        assert backups.manifest(store.directory) == before


REFUSED: dict[str, Callable[[Store], Path]] = {
    "directory of the host": lambda store: Path("/var/lib"),
    "belongs to the host": lambda store: Path("/etc/ssl"),
    "holds chaosboard itself": lambda store: store.directory.parents[1],
    "no directory": lambda store: store.directory / "nothing",
    "whole path": lambda store: Path("data"),
}


@pytest.mark.parametrize("why", REFUSED)
def test_a_directory_that_must_not_be_hurt_is_refused(why: str, store: Store, state: Path) -> None:
    store.start()
    for fault in (CorruptFiles, FullDisk):
        with pytest.raises(Refused, match=why):
            undo.prepare(state, "r", "f0", "x", fault(directory=str(REFUSED[why](store))), store.node, 60)
    assert undo.records(state) == []


def test_what_cannot_be_put_aside_or_hurt_is_refused_before_anything_happens(
    store: Store, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.start()
    where = str(store.directory)
    for fault, why in (
        (CorruptFiles(directory=where, largest=1000), "Raise `largest`"),
        (CorruptFiles(directory=where, files=["*.sst"]), r"matches \*.sst"),
        (FullDisk(directory=where, spare=2.0**50, largest=2.0**60), "half of the memory"),
    ):
        with pytest.raises(Refused, match=why):
            undo.prepare(state, "r", "f0", "x", fault, store.node, 60)
    monkeypatch.setattr(directories, "MARGIN", 2**60)
    with pytest.raises(Refused, match="are free; its copy needs"):
        undo.prepare(state, "r", "f0", "x", CorruptFiles(directory=where), store.node, 60)
    assert store.serves()


def test_files_that_another_process_writes_are_left_alone(store: Store, state: Path) -> None:
    store.start()
    before = backups.manifest(store.directory)
    fault = CorruptFiles(directory=str(store.directory), files=["log"], **QUICK)
    with (
        open(store.directory / "log", "r+b"),
        pytest.raises(EngineError, match=f"in use by pid {os.getpid()}"),
    ):
        begin(state, store, fault, "corrupt-files")
    assert undo.records(state) == []
    whole(store)
    assert backups.manifest(store.directory) == before


def test_an_injection_that_wakes_up_after_its_healing_does_no_harm(
    store: Store, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was frozen with the node stopped and the copy made; the warden healed; then it goes on."""
    store.start()
    before = backups.manifest(store.directory)
    fault = CorruptFiles(directory=str(store.directory), files=["log"], **QUICK)
    for step in ("duplicate", "swap"):
        record = undo.prepare(state, "r", "f0", "corrupt-files", fault, store.node, 60)
        meant = getattr(backups.Aside, step)

        def late(self: backups.Aside, meant: Any = meant, id: str = record.id) -> None:
            monkeypatch.undo()
            monkeypatch.setenv("CHAOSBOARD_STATE", str(state))
            assert undo.heal(state, id).state == "clean"
            meant(self)

        monkeypatch.setattr(backups.Aside, step, late)
        with pytest.raises((EngineError, OSError)):
            undo.inject(state, record)
        assert undo.records(state) == []
        whole(store)
        assert backups.manifest(store.directory) == before
