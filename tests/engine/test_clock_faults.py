"""Clocks that are wrong for one process: a real Valkey, a Python process, and etcd, which is refused."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis

from chaosboard import ports
from engine import processes, starting, undo
from engine.errors import EngineError, Refused
from engine.faults.clock_skew import ClockSkew
from engine.faults.clock_strobe import ClockStrobe
from engine.host import elf, faketime
from engine.lab.programs import ETCD, VALKEY
from engine.parameters import build
from engine.target import Node
from tests.engine.injecting import injected, injecting, marked
from tests.waiting import until

HOUR = 3600.0
NEAR = 60.0  # seconds: a clock is right or an hour off, however busy the machine is
BEFORE: set[str] = set()
VALKEY = (VALKEY.get(), "--port", "PORT", "--save", "", "--set-proc-title", "no")
TELL = """
import http.server, os, sys, time
class Tell(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
        self.wfile.write(f"{time.time()} {time.monotonic()}".encode())
    def log_message(self, *args): pass
if "hang" in sys.argv and "FAKETIME_TIMESTAMP_FILE" in os.environ:
    time.sleep(600)
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Tell).serve_forever()
"""


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CHAOSBOARD_STATE", str(tmp_path))
    BEFORE.clear()
    BEFORE.update(shared())
    return tmp_path


class Served:
    """A server on a free port of its own, found by its pid file."""

    def __init__(self, folder: Path, *argv: str, environ: dict[str, str] | None = None) -> None:
        self.port = ports.choose(1)[0]
        self.pid_file = folder / f"{self.port}.pid"
        command = [word.replace("PORT", str(self.port)) for word in argv]
        self.child = subprocess.Popen(
            command, cwd=folder, env={**os.environ, **(environ or {})},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.pid_file.write_text(str(self.child.pid))
        self.node = Node("one", f"127.0.0.1:{self.port}", control="process",
                         control_params={"pid_file": str(self.pid_file)})  # fmt: skip
        until(lambda: processes.listeners(self.port))

    @property
    def pid(self) -> int:
        return int(self.pid_file.read_text())

    def stop(self) -> None:
        for pid in {self.child.pid, self.pid, *processes.listeners(self.port)}:
            if psutil.pid_exists(pid):
                os.kill(pid, signal.SIGTERM)
        self.child.wait()

    def told(self) -> tuple[float, float]:
        """Its time of day and its monotonic clock; waits until it serves."""
        import urllib.request

        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=5) as answer:
            wall, monotonic = answer.read().split()
        return float(wall), float(monotonic)


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Served]:
    one = Served(tmp_path, *VALKEY)
    yield one
    one.stop()


@pytest.fixture
def teller(tmp_path: Path) -> Iterator[Served]:
    one = Served(tmp_path, sys.executable, "-c", TELL, "PORT")
    yield one
    one.stop()


def off(valkey: Served) -> float:
    """By how many seconds the clock of a Valkey is wrong."""
    with redis.Redis(port=valkey.port, socket_timeout=5) as client:
        seconds, micros = client.time()
    return float(seconds) + micros / 1e6 - time.time()


def preloaded(pid: int) -> bool:
    environ = Path(f"/proc/{pid}/environ").read_bytes()
    return b"faketime" in Path(f"/proc/{pid}/maps").read_bytes() or b"FAKETIME" in environ.upper()


def inject(state: Path, name: str, fault: Any, node: Node) -> undo.UndoRecord:
    return undo.inject(state, undo.prepare(state, "r", "f0", name, fault, node, 60))


def shared() -> set[str]:
    """What libfaketime keeps in memory for processes that are gone."""
    found = (path.name for path in Path("/dev/shm").glob("*faketime*"))
    return {name for name in found if not psutil.pid_exists(int(name.rpartition("_")[2]))}


def leftovers(state: Path) -> list[str]:
    return [*(shared() - BEFORE), *(path.name for path in (state / "clock").iterdir())]


@pytest.mark.parametrize(("direction", "wrong"), [("ahead", HOUR), ("behind", -HOUR)])
def test_a_valkey_tells_the_wrong_time_and_then_the_right_one(
    state: Path, valkey: Served, direction: str, wrong: float
) -> None:
    before = starting.capture(valkey.pid)
    record = inject(state, "clock-skew", ClockSkew(by=HOUR, direction=direction), valkey.node)
    assert abs(off(valkey) - wrong) < NEAR
    assert preloaded(valkey.pid)

    assert undo.heal(state, record.id).state == "clean"
    until(lambda: processes.listeners(valkey.port))
    assert abs(off(valkey)) < NEAR
    assert not preloaded(valkey.pid)
    assert starting.capture(valkey.pid) == before
    assert leftovers(state) == []


def test_a_clock_may_run_faster(state: Path, teller: Served) -> None:
    record = inject(state, "clock-skew", ClockSkew(by=HOUR, rate=50.0), teller.node)
    first, _ = teller.told()
    began = time.monotonic()
    until(lambda: teller.told()[0] - first > 20)
    assert time.monotonic() - began < 20
    assert undo.heal(state, record.id).state == "clean"
    until(lambda: processes.listeners(teller.port))
    assert abs(teller.told()[0] - time.time()) < NEAR


def test_when_who_set_the_clock_is_killed_the_warden_sets_it_right(state: Path, valkey: Served) -> None:
    with injecting(state, "clock-skew", {"by": "1h"}, valkey.node) as injector:
        assert abs(off(valkey) - HOUR) < NEAR
        injector.kill()
        assert injector.healed().state == "clean"
    until(lambda: processes.listeners(valkey.port))
    assert abs(off(valkey)) < NEAR
    assert not preloaded(valkey.pid)
    assert leftovers(state) == []


def test_a_clock_jumps_both_ways_until_all_who_move_it_are_dead(state: Path, valkey: Served) -> None:
    params = {"by": "1h", "direction": "behind", "every": "200ms"}
    with injecting(state, "clock-strobe", params, valkey.node) as injector:
        pid = valkey.pid
        for wrong in (-HOUR, 0.0, -HOUR, 0.0):
            until(lambda wrong=wrong: abs(off(valkey) - wrong) < NEAR)
        assert valkey.pid == pid
        (actor,) = injector.actors()
        os.kill(actor, signal.SIGKILL)
        injector.kill()
        assert injector.healed().state == "clean"
    until(lambda: processes.listeners(valkey.port))
    assert abs(off(valkey)) < NEAR
    assert not preloaded(valkey.pid)
    assert (marked(injector.mark), leftovers(state)) == ([], [])


def test_a_prepared_process_keeps_its_pid_and_its_file(state: Path, tmp_path: Path) -> None:
    file = tmp_path / "its own time"
    file.write_text("-5\n")
    environ = {
        "LD_PRELOAD": f"{faketime.library(os.getpid())} libc.so.6",  # libc's memory, for one with jemalloc
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_NO_CACHE": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }
    one = Served(tmp_path, *VALKEY, environ=environ)
    try:
        record = inject(state, "clock-skew", ClockSkew(by=HOUR), one.node)
        assert abs(off(one) - HOUR) < NEAR
        assert undo.heal(state, record.id).state == "clean"
        assert abs(off(one)) < NEAR
        assert (one.pid, file.read_text()) == (one.child.pid, "-5\n")

        with injected(state, "clock-strobe", ClockStrobe(by=HOUR, every=0.1), one.node) as record:
            for wrong in (HOUR, 0.0, HOUR):
                until(lambda wrong=wrong: abs(off(one) - wrong) < NEAR)
        assert undo.heal(state, record.id).state == "clean"
        assert (one.pid, file.read_text(), marked(record.id)) == (one.child.pid, "-5\n", [])
        with pytest.raises(Refused, match="a rate would count from its start"):
            undo.prepare(state, "r", "f0", "clock-skew", ClockSkew(rate=2.0), one.node, 60)
    finally:
        one.stop()


@pytest.fixture
def etcd(tmp_path: Path) -> Iterator[Served]:
    """Its port for peers is another one after each start."""
    url = "http://127.0.0.1:PORT"
    one = Served(
        tmp_path, ETCD.get(), "--listen-client-urls", url, "--advertise-client-urls", url,
        "--data-dir", str(tmp_path / "data"), "--listen-peer-urls", "http://127.0.0.1:0",
    )  # fmt: skip
    yield one
    one.stop()


def test_etcd_is_refused_because_it_asks_the_kernel(state: Path, etcd: Served) -> None:
    with pytest.raises(Refused, match="written in Go"):
        undo.prepare(state, "r", "f0", "clock-skew", ClockSkew(), etcd.node, 60)
    assert (etcd.pid, undo.records(state)) == (etcd.child.pid, [])


@pytest.mark.skipif(os.geteuid() != 0 and not os.environ.get("CI"), reason="time namespaces need root")
def test_etcd_has_a_monotonic_clock_that_can_be_set(state: Path, etcd: Served) -> None:
    record = inject(state, "clock-skew", ClockSkew(by=HOUR, clock="monotonic"), etcd.node)
    assert os.readlink(f"/proc/{etcd.pid}/ns/time") != os.readlink("/proc/self/ns/time")
    assert undo.heal(state, record.id).state == "clean"
    assert os.readlink(f"/proc/{etcd.pid}/ns/time") == os.readlink("/proc/self/ns/time")


def test_a_program_that_does_not_bear_it_is_put_back_at_once(state: Path, tmp_path: Path) -> None:
    one = Served(tmp_path, sys.executable, "-c", TELL, "PORT", "hang")
    try:
        with pytest.raises(EngineError, match=f"does not listen on port {one.port} after 1 s"):
            inject(state, "clock-skew", ClockSkew(back_within=1.0), one.node)
        until(lambda: processes.listeners(one.port))
        assert abs(one.told()[0] - time.time()) < NEAR
        assert not preloaded(one.pid)
        assert (undo.records(state), leftovers(state)) == ([], [])
    finally:
        one.stop()


@pytest.mark.skipif(os.geteuid() != 0 and not os.environ.get("CI"), reason="time namespaces need root")
def test_a_monotonic_clock_is_set_and_the_warden_sets_it_right(state: Path, teller: Served) -> None:
    params = {"by": "1h", "clock": "monotonic"}
    with injecting(state, "clock-skew", params, teller.node) as injector:
        wall, monotonic = teller.told()
        assert abs(monotonic - time.monotonic() - HOUR) < NEAR
        assert abs(wall - time.time()) < NEAR
        injector.kill()
        assert injector.healed().state == "clean"
    until(lambda: processes.listeners(teller.port))
    assert abs(teller.told()[1] - time.monotonic()) < NEAR
    assert os.readlink(f"/proc/{teller.pid}/ns/time") == os.readlink("/proc/self/ns/time")
    assert list((state / "clock").iterdir()) == []


@pytest.mark.skipif(
    os.geteuid() != 0 and not os.environ.get("CI"), reason="to act for another user needs root"
)
def test_a_process_of_another_user_keeps_its_user(state: Path, tmp_path: Path) -> None:
    child = subprocess.Popen(["sleep", "600"], user=65534, group=65534, cwd="/")
    pid_file = tmp_path / "one.pid"
    pid_file.write_text(str(child.pid))
    node = Node("one", "127.0.0.1:1", control="process", control_params={"pid_file": str(pid_file)})
    try:
        record = inject(state, "clock-skew", ClockSkew(by=HOUR, clock="monotonic"), node)
        pid = int(pid_file.read_text())
        assert psutil.Process(pid).uids() == (65534, 65534, 65534)
        assert "CapEff:\t0000000000000000" in Path(f"/proc/{pid}/status").read_text()
        assert re.search(r"monotonic\s+3600\s", Path(f"/proc/{pid}/timens_offsets").read_text())
        assert undo.heal(state, record.id).state == "clean"
        assert psutil.Process(int(pid_file.read_text())).uids() == (65534, 65534, 65534)
    finally:
        child.kill()
        os.kill(int(pid_file.read_text()), signal.SIGKILL)
        child.wait()


def test_a_monotonic_clock_cannot_be_set_before_its_beginning(state: Path, teller: Served) -> None:
    fault = ClockSkew(by=1e9, direction="behind", clock="monotonic")
    with pytest.raises(Refused, match=r"before its beginning|needs root|no time namespaces"):
        undo.prepare(state, "r", "f0", "clock-skew", fault, teller.node, 60)


def test_a_monotonic_clock_keeps_its_rate() -> None:
    with pytest.raises(EngineError, match="keeps its rate"):
        build(ClockSkew, {"clock": "monotonic", "rate": 2})


@pytest.mark.parametrize(
    ("offset", "rate", "text"),
    [(HOUR, 1, "+3600"), (-0.5, 1, "-0.5"), (0, 1.5, "+0 x1.5"), (1e-3, 1, "+0.001")],
)
def test_what_the_file_says(offset: float, rate: float, text: str) -> None:
    assert faketime.line(offset, rate) == text


def test_an_executable_says_who_loads_it() -> None:
    python = elf.read(f"/proc/{os.getpid()}/exe")
    assert python is not None
    assert "ld-linux" in python.interpreter
    assert any(name.startswith(("libc.", "libpython")) for name in python.needed)
    assert elf.read(__file__) is None
    etcd = elf.read(ETCD.get())
    assert etcd is not None
    assert etcd.go
