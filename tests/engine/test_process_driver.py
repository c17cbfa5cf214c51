import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from chaosboard import ports
from engine import processes, starting, undo
from engine.drivers.process import Process
from engine.errors import BadInput, Refused, Unreachable
from engine.faults.descriptors import Descriptors
from engine.host import cgroups, hierarchies, standing
from engine.parameters import build
from engine.processes import identity, status
from engine.target import Node
from tests.waiting import until

NAP = "import socket, sys, time; s = socket.create_server(('127.0.0.1', int(sys.argv[1]))); time.sleep(60)"


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CHAOSBOARD_STATE", str(tmp_path))
    return tmp_path


class Napper:
    """A process that listens on a port and does nothing."""

    def __init__(self, script: str = NAP) -> None:
        self.port = ports.choose(1)[0]
        self.child = subprocess.Popen([sys.executable, "-c", script, str(self.port)])
        self.node = Node("one", f"127.0.0.1:{self.port}")
        until(lambda: self.child.pid in processes.listeners(self.port))

    @property
    def pid(self) -> int:
        return self.child.pid


@pytest.fixture
def napper() -> Iterator[Napper]:
    one = Napper()
    yield one
    for pid in {one.pid, *processes.listeners(one.port)}:
        if psutil.pid_exists(pid):
            os.kill(pid, signal.SIGKILL)
    one.child.wait()


def test_a_process_is_found_by_pid_pid_file_port_and_command_line(napper: Napper, tmp_path: Path) -> None:
    file = tmp_path / "one.pid"
    file.write_text(f"{napper.pid}\n")
    ways = [
        Process(pid=napper.pid), Process(pid_file=str(file)), Process(port=napper.port),
        Process(match=f"time.sleep(60) {napper.port}"),
    ]  # fmt: skip
    assert [way.find(napper.node) for way in ways] == [napper.pid] * 4


def test_a_killed_process_is_started_again_as_it_was(napper: Napper) -> None:
    driver = Process(pid=napper.pid)
    before = starting.capture(napper.pid)
    captured = driver.capture(napper.node)
    driver.signal(captured, "KILL")
    until(lambda: status(captured["family"][0]) == "gone")
    assert driver.running(napper.node, captured).gone is False

    driver.start(napper.node, captured)
    driver.start(napper.node, captured)  # healing twice starts one process

    until(lambda: processes.listeners(napper.port))
    assert driver.running(napper.node, captured).gone is True
    after = starting.capture(driver.find(napper.node))
    assert {**after, "environ": None} == {**before, "environ": None}
    assert driver.find(napper.node) != napper.pid


def test_one_that_was_just_killed_is_not_taken_for_one_that_runs() -> None:
    """Who holds much memory is there for a while when it is killed already."""
    script = f"held = bytearray(400_000_000)\n{NAP}"
    large = Napper(script)
    for _ in range(3):
        driver = Process(port=large.port)
        captured = driver.capture(large.node)
        os.kill(captured["family"][0]["pid"], signal.SIGKILL)
        driver.start(large.node, captured)
        until(lambda: processes.listeners(large.port))
        assert processes.listeners(large.port) != {captured["family"][0]["pid"]}
        captured = driver.capture(large.node)
        driver.signal(captured, "KILL")
        assert status(captured["family"][0]) == "gone"
        driver.start(large.node, captured)
        until(lambda: processes.listeners(large.port))
    (pid,) = processes.listeners(large.port)
    os.kill(pid, signal.SIGKILL)
    large.child.wait()


def test_one_that_was_started_by_who_died_before_he_wrote_it_down_is_no_reason_for_a_second(
    napper: Napper, tmp_path: Path
) -> None:
    file = tmp_path / "one.pid"
    file.write_text(f"{napper.pid}\n")
    driver = Process(pid_file=str(file))
    captured = driver.capture(napper.node)
    driver.signal(captured, "KILL")
    until(lambda: status(captured["family"][0]) == "gone")
    started = starting.start(captured["how"])
    until(lambda: processes.listeners(napper.port))

    driver.start(napper.node, captured)

    assert processes.matching(f"time.sleep(60) {napper.port}") == [started["pid"]]
    assert driver.find(napper.node) == started["pid"]


def test_a_paused_process_goes_on(napper: Napper) -> None:
    driver = Process(port=napper.port)
    captured = driver.capture(napper.node)
    driver.pause(captured)
    until(lambda: status(captured["family"][0]) == psutil.STATUS_STOPPED)
    assert driver.unpaused(captured).gone is False
    driver.unpause(captured)
    until(lambda: driver.unpaused(captured).gone)


def test_chaosboard_and_what_started_it_are_refused() -> None:
    for pid in (os.getpid(), os.getppid(), 1):
        why = Process(pid=pid).refusal(Node("one", "127.0.0.1:1"))
        assert "never hurt" in why


def test_a_part_of_chaosboard_is_refused() -> None:
    child = subprocess.Popen(["sleep", "60"], env={**os.environ, "CHAOSBOARD_PART": "web"})
    try:
        until(lambda: "part of chaosboard itself" in processes.refusal(child.pid))
    finally:
        child.kill()
        child.wait()


def test_a_pid_that_is_gone_is_named() -> None:
    child = subprocess.Popen(["true"])
    child.wait()
    assert f"no process with pid {child.pid}" in Process(pid=child.pid).refusal(Node("one", "127.0.0.1:1"))


def test_a_port_held_by_another_process_is_named(napper: Napper) -> None:
    other = Napper()
    try:
        why = Process(pid=napper.pid).refusal(other.node)
        assert f"Port {other.port} is held by pid {other.pid}" in why
        with pytest.raises(Refused):
            Process(pid=napper.pid).capture(other.node)
    finally:
        other.child.kill()
        other.child.wait()


def test_a_reused_pid_is_another_process(napper: Napper) -> None:
    one = identity(napper.pid)
    assert status({**one, "started": one["started"] - 1}) == "gone"
    processes.send({**one, "started": one["started"] - 1}, signal.SIGKILL)
    assert status(one) != "gone"


def test_a_command_is_started_once_and_ended() -> None:
    port = ports.choose(1)[0]
    node = Node("one", f"127.0.0.1:{port}")
    driver = Process(command=[sys.executable, "-c", NAP, str(port)])
    assert driver.prepare(node) is True
    assert driver.prepare(node) is False
    until(lambda: processes.listeners(port))
    driver.release(node)
    with pytest.raises(Unreachable):
        driver.find(node)


@pytest.mark.parametrize(
    ("values", "part"),
    [
        ({}, "says not which process"),
        ({"pid": 7, "port": 80}, "in 2 ways"),
        ({"pid": "seven"}, "not a whole number"),
        ({"port": 99999}, "too large"),
        ({"pidfile": "x"}, "unknown parameter"),
    ],
)
def test_bad_parameters_are_named(values: dict[str, object], part: str) -> None:
    with pytest.raises(BadInput, match=part):
        build(Process, values, "driver.process")


def test_a_pid_file_that_says_more_is_left_to_the_program_that_wrote_it(tmp_path: Path) -> None:
    own, other = tmp_path / "postmaster.pid", tmp_path / "one.pid"
    own.write_text("4711\n/var/lib/data\n1700000000\n5432\n")
    other.write_text("4711\n")
    for file in (own, other, tmp_path / "new" / "two.pid"):
        starting.write_pid(file, 815)
    assert own.read_text().startswith("4711\n/var/lib/data")
    assert other.read_text() == "815\n" == (tmp_path / "new" / "two.pid").read_text()


def test_limits_priority_and_groups_are_those_of_before(napper: Napper) -> None:
    """The healer has others, and what it starts would inherit those."""
    pid = napper.pid
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (333, 444))
    os.setpriority(os.PRIO_PROCESS, pid, 7)
    os.sched_setaffinity(pid, {0})
    Path(f"/proc/{pid}/oom_score_adj").write_text("250")
    driver = Process(pid=pid)
    captured = driver.capture(napper.node)
    before = standing.capture(pid)
    assert before != standing.capture(os.getpid())
    driver.signal(captured, "KILL")
    napper.child.wait()
    driver.start(napper.node, captured)
    until(lambda: processes.listeners(napper.port))
    (again,) = processes.listeners(napper.port)
    assert (again != pid, standing.capture(again)) == (True, before)


def test_one_of_another_user_is_back_in_its_groups_with_its_mask() -> None:
    if why := cgroups.available():
        assert os.environ.get("CI") != "true", why
        pytest.skip(why)
    place = hierarchies.place(os.getpid(), "memory")
    assert place
    group = place / f"test-standing-{os.getpid()}"
    group.mkdir()
    sleeper = subprocess.Popen(["sleep", "61"])
    how = starting.capture(sleeper.pid)
    sleeper.kill()
    sleeper.wait()
    wanted = {**how["standing"], "umask": 0o27, "groups": [str(group)], "limits": {"CORE": [0, 0]}}
    one = starting.start({**how, "cwd": "/", "standing": wanted, "uid": 65534, "gid": 65534})
    try:
        found = standing.capture(one["pid"])
        assert psutil.Process(one["pid"]).uids().real == 65534
        assert (found["umask"], found["limits"]["CORE"]) == (0o27, [0, 0])
        assert str(group) in found["groups"]
    finally:
        os.kill(one["pid"], signal.SIGKILL)
        until(lambda: not (group / "cgroup.procs").read_text())
        group.rmdir()


def test_what_a_fault_has_lowered_for_a_while_is_not_taken_for_its_own(napper: Napper, state: Path) -> None:
    node = Node("one", napper.node.address, control="process", control_params={"pid": napper.pid})
    before = standing.capture(napper.pid)["limits"]["NOFILE"]
    record = undo.inject(state, undo.prepare(state, "r", "f0", "descriptors", Descriptors(), node, 60))
    assert resource.prlimit(napper.pid, resource.RLIMIT_NOFILE)[0] < before[0]
    assert standing.capture(napper.pid)["limits"]["NOFILE"] == before
    assert undo.heal(state, record.id).state == "clean"


def test_a_process_is_known_in_the_moment_of_its_start() -> None:
    for _ in range(30):
        with subprocess.Popen(["sleep", "61"]) as sleeper:
            try:
                assert starting.capture(sleeper.pid)["argv"] == ["sleep", "61"]
            finally:
                sleeper.kill()
