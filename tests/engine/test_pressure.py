"""Pressure on the host, and on what a process may open: real processes, files and memory."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from engine import actor, undo
from engine.errors import BadInput, Refused, Unreachable
from engine.faults import REGISTRY
from engine.faults.descriptors import _lowest
from engine.faults.memory import _Hoard
from engine.host import cgroups, reserves
from engine.parameters import build
from engine.target import Node
from tests.waiting import until

MIB = 2**20
ROOT = Path(__file__).resolve().parents[2]
# A process that opens, closes or forks as it is told, a line at a time.
OPENER = """
import os, sys, time
held = []
for line in sys.stdin:
    what = line.strip()
    try:
        if what == "open":
            held.append(os.open("/dev/null", os.O_RDONLY))
        if what == "fork":
            pid = os.fork()
            if pid == 0:
                time.sleep(600)
        print(pid if what == "fork" else "done", flush=True)
    except OSError as error:
        print(error.strerror, flush=True)
"""


class Opener:
    def __init__(self, address: str) -> None:
        self.child = subprocess.Popen(
            [sys.executable, "-c", OPENER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.pid = self.child.pid
        self.node = Node("one", address, control="process", control_params={"pid": self.pid})

    def do(self, what: str) -> str:
        self.child.stdin.write(f"{what}\n")
        self.child.stdin.flush()
        return self.child.stdout.readline().strip()

    def end(self) -> None:
        for child in psutil.Process(self.pid).children():
            child.kill()
        self.child.kill()
        self.child.communicate()


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CHAOSBOARD_STATE", str(tmp_path / "state"))
    (tmp_path / "state").mkdir()
    return tmp_path / "state"


@pytest.fixture
def openers() -> Iterator[list[Opener]]:
    found = [Opener(f"127.0.0.1:{port}") for port in range(1, 6)]
    for one in found:
        assert one.do("hello") == "done"
    yield found
    for one in found:
        one.end()


@pytest.fixture
def one() -> Iterator[Opener]:
    found = Opener("127.0.0.1:1")
    assert found.do("hello") == "done"
    yield found
    found.end()


@pytest.fixture
def hurt(state: Path) -> Iterator[Any]:
    """Injects, and keeps the lease as a run does, until it is healed or the test is over."""
    over = threading.Event()

    def keep() -> None:
        while not over.wait(0.3):
            for record in undo.records(state):
                undo.renew(state, record)

    def inject(kind: str, node: Node, **params: Any) -> undo.UndoRecord:
        fault = build(REGISTRY.get(kind), params)
        return undo.inject(state, undo.prepare(state, "r", "f0", kind, fault, node, 60))

    keeper = threading.Thread(target=keep)
    keeper.start()
    yield inject
    over.set()
    keeper.join()
    healed = undo.heal_all(state)
    assert [one.text for one in healed if one.state != "clean"] == []


def marked(mark: str) -> list[psutil.Process]:
    found = []
    for pid in actor._processes(mark):
        with contextlib.suppress(psutil.NoSuchProcess):
            found.append(psutil.Process(pid))
    return found


def actors(mark: str) -> list[psutil.Process]:
    """Of the marked processes, the actor itself: not what it started."""
    found = []
    for process in marked(mark):
        with contextlib.suppress(psutil.Error):  # it has just ended
            found += [process] if "engine.actor" in process.cmdline() else []
    return found


def burnt(mark: str) -> float:
    """Seconds of computing time that the processes of an actor have had."""
    total = 0.0
    for process in marked(mark):
        with contextlib.suppress(psutil.Error):
            total += sum(process.cpu_times()[:2])
    return total


# Processors


@pytest.fixture(params=["stress-ng", "processes of ours"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Which program loads the processors: without stress-ng in PATH, processes of ours."""
    if request.param != "stress-ng":
        monkeypatch.setenv("PATH", str(tmp_path))
    elif not shutil.which("stress-ng"):
        assert os.environ.get("CI") != "true", "stress-ng is missing"
        pytest.skip("stress-ng is missing: install the package stress-ng")
    return str(request.param)


def test_every_processor_is_loaded_until_it_is_healed(way: str, one: Opener, hurt: Any, state: Path) -> None:
    record = hurt("cpu", one.node)
    before = burnt(record.id)
    until(lambda: burnt(record.id) - before > 1.0)
    names = [process.name() for process in marked(record.id)]
    assert any("stress-ng" in name for name in names) is (way == "stress-ng")
    busy = [p for p in marked(record.id) if sum(p.cpu_times()[:2]) > 0.1]
    assert len(busy) >= (psutil.cpu_count() or 1)

    assert undo.heal(state, record.id).state == "clean"
    assert marked(record.id) == []


def test_a_partial_load_leaves_the_rest(way: str, one: Opener, hurt: Any) -> None:
    record = hurt("cpu", one.node, load="20%", workers=1)
    began, before = time.monotonic(), burnt(record.id)
    until(lambda: burnt(record.id) - before > 0.3)
    assert (burnt(record.id) - before) / (
        time.monotonic() - began
    ) < 0.7  # asked for: 0.2, and the actor's own


def test_killing_what_loads_does_not_end_the_load_and_killing_the_actor_does(
    way: str, one: Opener, hurt: Any
) -> None:
    record = hurt("cpu", one.node)
    [main] = actors(record.id)
    worker, *others = main.children()
    worker.kill()
    until(lambda: len([p for p in main.children() if p.pid != worker.pid]) > len(others))
    main.kill()
    until(lambda: marked(record.id) == [])


def test_two_loads_on_one_host_must_not_be_more_than_it_has(openers: list[Opener], hurt: Any) -> None:
    first, second, third, *_ = openers
    hurt("cpu", first.node, load="60%")
    with pytest.raises(Refused, match="Another fault loads"):
        hurt("cpu", second.node, load="50%")
    hurt("cpu", third.node, load="10%")
    with pytest.raises(Refused, match="processors, not 9999"):
        hurt("cpu", second.node, workers=9999)


# Memory


def test_memory_is_really_taken_and_given_back(one: Opener, hurt: Any, state: Path) -> None:
    record = hurt("memory", one.node, size="200MiB")
    [process] = marked(record.id)
    until(lambda: process.memory_info().rss >= 200 * MIB)
    assert Path(f"/proc/{process.pid}/oom_score_adj").read_text() == "1000\n"
    if not cgroups.available():
        assert cgroups.left(record.id)
        assert f"chaosboard-{record.id}" in Path(f"/proc/{process.pid}/cgroup").read_text()
    assert undo.heal(state, record.id).state == "clean"
    assert marked(record.id) == []
    assert cgroups.left(record.id) == []


def test_a_share_is_of_what_is_available(one: Opener, state: Path) -> None:
    fault = build(REGISTRY.get("memory"), {"share": "1%"})
    available = reserves.memory_available()
    record = undo.prepare(state, "r", "f0", "memory", fault, one.node, 60)
    assert record.captured["size"] == pytest.approx(available / 100, rel=0.3)
    undo.heal(state, record.id)


def test_so_much_that_the_host_would_be_in_danger_is_refused(openers: list[Opener], state: Path) -> None:
    available = reserves.memory_available()
    room = available - reserves.memory_kept()
    with pytest.raises(Refused, match=r"must remain \(a tenth of it, at least 256 MiB\)"):
        prepared(state, openers[0].node, "memory", size=f"{available}B")
    prepared(state, openers[0].node, "memory", size=f"{int(room * 0.7)}B")  # written down, not yet taken
    with pytest.raises(Refused, match="must remain"):
        prepared(state, openers[1].node, "memory", size=f"{int(room * 0.7)}B")
    undo.heal_all(state)
    with pytest.raises(BadInput, match="both a size and a share"):
        build(REGISTRY.get("memory"), {"size": "1MiB", "share": "1%"})


def prepared(state: Path, node: Node, kind: str, **params: Any) -> undo.UndoRecord:
    return undo.prepare(state, "r", "f0", kind, build(REGISTRY.get(kind), params), node, 60)


def test_it_gives_memory_back_when_the_host_needs_it() -> None:
    hoard = _Hoard(160 * MIB)
    while hoard._adapt():
        pass
    assert sum(map(len, hoard.chunks)) == 160 * MIB
    hoard.kept = reserves.memory_available() + 80 * MIB  # as if the rest of the host had taken so much
    hoard._adapt()
    assert sum(map(len, hoard.chunks)) < 160 * MIB
    hoard.kept = 2**60
    assert hoard._adapt() is False
    assert hoard.chunks == []


# Disk


def test_the_disk_is_really_taken_and_given_back(one: Opener, hurt: Any, state: Path, tmp_path: Path) -> None:
    record = hurt("disk-fill", one.node, directory=str(tmp_path), size="300MiB")
    [file] = tmp_path.glob("chaosboard-*")
    assert record.id in file.name
    assert file.stat().st_blocks * 512 >= 300 * MIB
    assert undo.heal(state, record.id).state == "clean"
    assert list(tmp_path.glob("chaosboard-*")) == []


def test_a_fill_that_somebody_holds_open_is_not_gone(
    one: Opener, hurt: Any, state: Path, tmp_path: Path
) -> None:
    record = hurt("disk-fill", one.node, directory=str(tmp_path), size="1MiB")
    [file] = tmp_path.glob("chaosboard-*")
    with open(file) as opened:
        holder = subprocess.Popen(["sleep", "600"], stdin=opened)
    healed = undo.heal(state, record.id, patience=0.1)
    assert healed.state == "stuck"
    assert f"pid {holder.pid} (sleep) holds it open" in healed.text
    holder.kill()
    holder.wait()
    assert undo.heal(state, record.id).state == "clean"


SMALL_DISK = """
import os, sys
from pathlib import Path
from engine import undo
from engine.host import reserves
from engine.errors import EngineError
from engine.faults import REGISTRY
from engine.parameters import build
from engine.target import Node

node = Node("one", "127.0.0.1:1", control="process", control_params={"pid": int(sys.argv[1])})
where, large, state = sys.argv[2], sys.argv[3], Path(os.environ["CHAOSBOARD_STATE"])

def hurt(directory, **params):
    fault = build(REGISTRY.get("disk-fill"), {"directory": directory, **params})
    return undo.inject(state, undo.prepare(state, "r", "f0", "disk-fill", fault, node, 60))

def write():
    try:
        Path(where, "node.log").write_bytes(bytes(2**20))
        return "written"
    except OSError as error:
        return error.strerror

print("before:", write())
os.unlink(where + "/node.log")
record = hurt(where)
print("full:", write(), reserves.disk_free(Path(where)))
print("healed:", undo.heal(state, record.id).state, write())
record = hurt(where, leave="8MiB")
print("left:", round(reserves.disk_free(Path(where)) / 2**20))
undo.heal(state, record.id)
try:
    hurt(large, size=str(reserves.memory_available()) + "B")
except EngineError as error:
    print("memory:", error)
"""


def test_a_node_gets_no_space_left_and_writes_again(one: Opener, tmp_path: Path) -> None:
    """On small file systems of its own, in a mount namespace; they are in memory, and count as memory."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    small, large = tmp_path / "small", tmp_path / "large"
    small.mkdir()
    large.mkdir()
    mounts = f"mount -t tmpfs -o size=32m none {small} && mount -t tmpfs -o size=400% none {large}"
    command = ["unshare", "-m", "sh", "-c", f'{mounts} && exec "$@"', "sh", sys.executable, "-c", SMALL_DISK]
    told = subprocess.run(
        [*command, str(one.pid), str(small), str(large)], capture_output=True, text=True, cwd=ROOT
    )
    said = dict(line.split(": ", 1) for line in told.stdout.splitlines())
    assert said["before"] == "written", told.stderr
    assert said["full"] == "No space left on device 0"
    assert said["healed"] == "clean written"
    assert said["left"] == "8"
    assert "of memory cannot be taken" in said["memory"]


def test_a_disk_that_must_not_be_filled_is_refused(one: Opener, state: Path, tmp_path: Path) -> None:
    for params, error, told in [
        ({"directory": "/no/such/place"}, Unreachable, "is not there"),
        ({"directory": "data"}, Refused, "not an absolute path"),
        ({"directory": str(Path(__file__))}, Refused, "is not a directory"),
        ({"directory": "/proc/self"}, Refused, "cannot be written|do not fit|are free"),
        ({"directory": str(tmp_path), "size": "9999999GiB"}, Refused, "do not fit"),
        ({"directory": str(tmp_path), "leave": "0B"}, Refused, "keeps its own state"),
    ]:
        with pytest.raises(error, match=told):
            prepared(state, one.node, "disk-fill", **params)
    assert undo.records(state) == []


def test_the_disk_is_kept_busy_within_a_bounded_file(
    openers: list[Opener], hurt: Any, state: Path, tmp_path: Path
) -> None:
    fast = hurt("io", openers[0].node, directory=str(tmp_path), writers=2, file_size="1MiB")
    [process] = marked(fast.id)
    until(lambda: written(process) > 8 * MIB)
    files = sorted(tmp_path.glob(f"chaosboard-{fast.id}*"))
    assert len(files) == 2
    assert max(file.stat().st_size for file in files) <= MIB
    assert undo.heal(state, fast.id).state == "clean"
    assert list(tmp_path.glob("chaosboard-*")) == []

    slow = hurt("io", openers[1].node, directory=str(tmp_path), rate="1MiB")
    [process] = marked(slow.id)
    began, before = time.monotonic(), written(process)
    until(lambda: written(process) - before >= MIB)
    assert (written(process) - before) / (time.monotonic() - began) < 4 * MIB  # asked for: 1 MiB a second


def written(process: psutil.Process) -> int:
    return int(process.io_counters().write_chars)


# File descriptors


def test_a_process_gets_too_many_open_files_and_works_again(one: Opener, hurt: Any, state: Path) -> None:
    elder = int(one.do("fork"))
    before = {pid: limits(pid) for pid in (one.pid, elder)}
    assert one.do("open") == "done"
    record = hurt("descriptors", one.node)
    assert [one.do("open"), one.do("open")] == ["Too many open files"] * 2
    younger = int(one.do("fork"))
    assert limits(younger) == limits(one.pid) != before[one.pid]

    assert undo.heal(state, record.id).state == "clean"

    assert {pid: limits(pid) for pid in (one.pid, elder)} == before
    assert limits(younger) == before[one.pid]
    assert one.do("open") == "done"


def limits(pid: int) -> str:
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
    return next(line for line in lines if line.startswith("Max open files"))


def test_exactly_so_many_as_are_spared_can_be_opened(one: Opener, hurt: Any) -> None:
    hurt("descriptors", one.node, spare=3)
    assert [one.do("open") for _ in range(4)] == ["done"] * 3 + ["Too many open files"]
    assert [_lowest({0, 1, 2, 5}, spare) for spare in (0, 1, 2, 3)] == [3, 4, 6, 7]


# When somebody is killed

ALL = [
    ("cpu", {"load": "10%", "workers": 1}),
    ("memory", {"size": "32MiB"}),
    ("io", {"directory": "{}", "rate": "1MiB"}),
    ("disk-fill", {"directory": "{}", "size": "1MiB"}),
    ("descriptors", {}),
]
ACTORS = ALL[:3]


def all_of(chosen: list[Any], openers: list[Opener], folder: Path) -> list[tuple[str, Node, dict[str, Any]]]:
    folder.mkdir(exist_ok=True)
    return [
        (kind, one.node, {k: str(v).format(folder) if k == "directory" else v for k, v in params.items()})
        for (kind, params), one in zip(chosen, openers, strict=False)
    ]


def leftovers(marks: list[str], folder: Path) -> list[str]:
    """Processes, groups and files, as the machine shows them."""
    left = [f"{mark} {what}" for mark in marks for what in [*actor.left(mark), *cgroups.left(mark)]]
    return left + [str(file) for file in folder.iterdir()]


def test_all_is_healed_in_another_process(
    openers: list[Opener], hurt: Any, state: Path, tmp_path: Path
) -> None:
    before = limits(openers[4].pid)
    marks = [hurt(kind, node, **params).id for kind, node, params in all_of(ALL, openers, tmp_path / "d")]
    assert len({line.split()[0] for line in leftovers(marks, tmp_path / "d")}) >= 5
    command = [sys.executable, "-m", "engine", "heal", "--all", "--state", str(state)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert told.count("clean") == 5
    assert leftovers(marks, tmp_path / "d") == []
    assert limits(openers[4].pid) == before


def test_nothing_is_left_when_an_actor_is_killed(
    openers: list[Opener], hurt: Any, state: Path, tmp_path: Path
) -> None:
    records = [hurt(kind, node, **params) for kind, node, params in all_of(ACTORS, openers, tmp_path / "d")]
    for record in records:
        for process in actors(record.id):
            process.kill()
        until(lambda record=record: marked(record.id) == [])
        assert undo.heal(state, record.id).state == "clean"
    assert leftovers([record.id for record in records], tmp_path / "d") == []


def test_an_actor_ends_and_clears_away_when_its_run_is_silent_and_no_warden_lives(
    openers: list[Opener], state: Path, tmp_path: Path
) -> None:
    marks = []
    for kind, node, params in all_of(ACTORS, openers, tmp_path / "d"):
        record = undo.inject(state, prepared(state, node, kind, **params))
        marks.append(record.id)
    until(lambda: leftovers(marks, tmp_path / "d") == [], undo.LEASE + 10)
    assert [record.state for record in undo.records(state)] == ["active"] * 3
    assert [healed.state for healed in undo.heal_all(state)] == ["clean"] * 3


INJECTOR = """
import json, sys, time
from pathlib import Path
from engine import undo, warden
from engine.faults import REGISTRY
from engine.parameters import build
from engine.target import Node

state, records = Path(sys.argv[1]), []
warden.ensure(state)
for kind, (name, address, pid), params in json.loads(sys.argv[2]):
    node = Node(name, address, control="process", control_params={"pid": pid})
    fault = build(REGISTRY.get(kind), params)
    records.append(undo.inject(state, undo.prepare(state, "r", "f0", kind, fault, node, 600)))
    for record in records:
        undo.renew(state, record)
print(*[record.id for record in records], flush=True)
while True:
    for record in records:
        undo.renew(state, record)
    time.sleep(0.2)
"""


def test_nothing_is_left_when_who_injected_is_killed(
    openers: list[Opener], state: Path, tmp_path: Path
) -> None:
    before = limits(openers[4].pid)
    what = [
        (kind, (node.name, node.address, node.control_params["pid"]), params)
        for kind, node, params in all_of(ALL, openers, tmp_path / "d")
    ]
    command = [sys.executable, "-c", INJECTOR, str(state), json.dumps(what)]
    injector = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    marks = injector.stdout.readline().split()
    assert len(marks) == 5
    assert limits(openers[4].pid) != before
    injector.kill()
    injector.communicate()

    until(lambda: undo.records(state) == [], undo.LEASE + 15)

    assert leftovers(marks, tmp_path / "d") == []
    assert limits(openers[4].pid) == before
    for process in psutil.process_iter(["cmdline"]):
        if {"warden", str(state)} <= set(process.info["cmdline"] or []):
            os.kill(process.pid, signal.SIGTERM)
