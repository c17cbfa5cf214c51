"""The systemd driver against a real systemd that runs as pid 1 of namespaces of the test's own."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from engine import capabilities, drivers, undo
from engine.drivers import _systemctl
from engine.drivers.systemd import Systemd
from engine.target import Node
from tests.engine.booted import MODES, Booted
from tests.engine.far import ROOT, FarEnd
from tests.waiting import until

ONE = pytest.mark.parametrize("host", MODES[:1], indirect=True)
EACH = pytest.mark.parametrize("host", MODES, indirect=True)  # of the two kinds of control groups


@pytest.fixture(scope="module")
def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Booted]:
    one = Booted(tmp_path_factory.mktemp("booted"), request.param)
    yield one
    one.stop()


@pytest.fixture
def far(host: Booted, tmp_path: Path) -> Iterator[FarEnd]:
    """The engine on that host, where the units web, always and stubborn run."""
    host.systemctl("start", "dbus", "web", "always", "stubborn", "ssh")
    command = host.inside(sys.executable, "-m", "engine.far", "--state")
    one = FarEnd(tmp_path / "far", command)
    yield one
    one.close()


def node(unit: str) -> dict[str, Any]:
    return {"name": "one", "address": "127.0.0.1:1", "kind": "", "driver": {"systemd": {"unit": unit}}}


def processes_of(host: Booted, unit: str) -> list[psutil.Process]:
    """As this machine sees them."""
    wanted = {"web": {"sleep 1000", "sleep 1001"}, "always": {"sleep 1002"}}[unit]
    below = psutil.Process(host.init).children(recursive=True)
    return [p for p in below if _line(p) in wanted]


def _line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline()).removeprefix("/bin/")
    except psutil.Error:
        return ""  # it ended, and waits for its parent


@ONE
@pytest.mark.parametrize("fault", ["kill", "stop", "restart"])
def test_a_unit_is_taken_down_and_brought_back(far: FarEnd, host: Booted, fault: str) -> None:
    before = host.shown("web", "MainPID")
    assert far.prepare("a1", fault, node("web")) == {}
    assert far.ask("inject", id="a1") == {}
    down = {"kill": "failed", "stop": "inactive", "restart": "active"}[fault]
    until(lambda: host.shown("web", "ActiveState") == down)
    for _ in range(2):
        assert far.ask("heal", id="a1") == {"gone": True, "text": "web.service is active"}
    assert host.shown("web", "ActiveState") == "active"
    assert host.shown("web", "MainPID") != before
    assert len(processes_of(host, "web")) == 2


@EACH
def test_a_unit_is_frozen_with_all_its_processes_and_goes_on(far: FarEnd, host: Booted) -> None:
    assert far.prepare("a1", "pause", node("web")) == {}
    assert far.ask("inject", id="a1") == {}
    if host.mode == "v2":
        assert host.shown("web", "FreezerState") == "frozen"
    else:
        states = {p.status() for p in processes_of(host, "web")}
        assert states == {psutil.STATUS_STOPPED}
    assert far.ask("heal", id="a1") == {"gone": True, "text": "web.service is active and not paused"}
    assert host.shown("web", "FreezerState") == "running"
    assert psutil.STATUS_STOPPED not in {p.status() for p in processes_of(host, "web")}


@EACH
def test_it_heals_when_everything_that_started_it_is_killed(far: FarEnd, host: Booted) -> None:
    far.prepare("a1", "pause", node("web"), 600)
    far.ask("inject", id="a1")
    far.process.kill()
    until(lambda: undo.records(far.state) == [], undo.LEASE + 5)
    assert host.shown("web", "FreezerState") == "running"
    assert {p.status() for p in processes_of(host, "web")} == {psutil.STATUS_SLEEPING}


@ONE
def test_a_unit_that_restarts_itself_is_found_running(far: FarEnd, host: Booted) -> None:
    before = host.shown("always", "MainPID")
    far.prepare("a1", "kill", node("always.service"))
    far.ask("inject", id="a1")
    until(lambda: host.shown("always", "MainPID") not in ("0", before))
    assert far.ask("heal", id="a1")["gone"] is True


@ONE
def test_a_unit_that_does_not_stop_is_killed_after_its_grace(far: FarEnd, host: Booted) -> None:
    far.prepare("a1", "stop", node("stubborn"), grace="100ms")
    far.ask("inject", id="a1")
    assert host.shown("stubborn", "ActiveState") == "failed"
    assert far.ask("heal", id="a1")["gone"] is True
    assert host.shown("stubborn", "ActiveState") == "active"


@ONE
def test_what_must_not_be_hurt_is_refused_in_words(far: FarEnd, host: Booted) -> None:
    def why(unit: str, **more: Any) -> str:
        return str(far.ask("refusal", node={**node(unit), **more})["why"])

    assert why("web") == ""
    assert why("no-such-unit") == "There is no unit no-such-unit on this host."
    assert "masked.service is masked" in why("masked")
    assert why("idle") == "idle.service is not active but inactive; start it first."
    assert why("ssh") == "ssh.service keeps this host reachable; it is never hurt."
    assert "only services" in why("basic.target")
    assert "which is not this host" in why("web", address="192.0.2.1:80")
    assert far.ask("victim", node=node("web"))["what"].startswith("web.service, pid ")
    refused = far.prepare("a1", "kill", node("idle"))
    assert (refused["kind"], undo.records(far.state)) == ("Refused", [])


@ONE
def test_a_unit_that_runs_chaosboard_is_refused(far: FarEnd, host: Booted, tmp_path: Path) -> None:
    """The engine itself as a unit, asked about the unit in which it runs."""
    script = f"""
from engine.drivers.systemd import Systemd
from engine.target import Node
from pathlib import Path
Path({str(tmp_path / "why")!r}).write_text(Systemd(unit="board").refusal(Node("one", "127.0.0.1:1")))
"""
    (tmp_path / "board.py").write_text(script)
    unit = (
        f"[Service]\nWorkingDirectory={ROOT}\nEnvironment=PYTHONPATH={ROOT}\nType=exec\n"
        f"ExecStart={sys.executable} {tmp_path / 'board.py'}\n"
    )
    write = host.inside("sh", "-c", "cat > /etc/systemd/system/board.service && systemctl daemon-reload")
    subprocess.run(write, input=unit, text=True, check=True)
    host.systemctl("start", "board")
    until(lambda: (tmp_path / "why").exists() and (tmp_path / "why").read_text())
    assert "chaosboard itself" in (tmp_path / "why").read_text()


LIMITING = """
import json, sys
from pathlib import Path
from engine.drivers.systemd import Systemd
from engine.errors import Refused
from engine.target import Node
driver, node = Systemd(unit="web"), Node("one", "127.0.0.1:1")
def kernel():
    found = []
    for place, name in (("cpu", "cpu.cfs_quota_us"), ("memory", "memory.limit_in_bytes")):
        file = Path("/sys/fs/cgroup", place, "system.slice/web.service", name)
        value = file.read_text().split()[0] if file.exists() else "max"
        found.append("max" if len(value) > 16 else value)  # v1 says no limit by a huge number
    return found
said = []
def say(*what): said.append(what)
captured = json.loads(json.dumps(driver.capture_limits(node)))
say(driver.unlimited(captured, "m").gone, *kernel())
driver.limit(captured, "m", 0.2, 50 * 2**20)
found = driver.unlimited(captured, "m")
say(found.gone, *kernel())
try:
    driver.capture_limits(node)
except Refused as error:
    say(str(error))
for _ in range(2):
    driver.unlimit(captured, "m")
    say(driver.unlimited(captured, "m").gone, *kernel())
print(json.dumps(said))
"""


@ONE
def test_limits_take_hold_in_the_kernel_and_are_taken_back(far: FarEnd, host: Booted) -> None:
    script = LIMITING
    if host.mode == "v2":
        script = script.replace('"cpu", "cpu.cfs_quota_us"', '".", "cpu.max"')
        script = script.replace('"memory", "memory.limit_in_bytes"', '".", "memory.max"')
    told = subprocess.run(
        host.inside(sys.executable, "-c", script), cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    )
    before, hurt, refused, healed, again = json.loads(told.stdout)
    assert before == [True, "150000", "max"]  # its unit file says CPUQuota=150%
    assert hurt == [False, "20000", str(50 * 2**20)]
    assert "set at run time" in refused[0]
    assert healed == again == before
    assert host.shown("web", "DropInPaths") == ""
    assert host.shown("web", "NeedDaemonReload") == "no"


def test_a_host_without_systemd_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Systemd(unit="web")
    if Path("/run/systemd/system").is_dir():
        monkeypatch.setenv("PATH", "/nowhere")
    assert "systemd" in one.refusal(Node("one", "127.0.0.1:1"))
    here = Node("one", "127.0.0.1:1", control="systemd", control_params={"unit": "web"})
    assert "systemd" in drivers.lacks(here, capabilities.Kill) or "systemctl" in drivers.lacks(
        here, capabilities.Kill
    )


@pytest.mark.parametrize(
    ("shown", "written"),
    [
        ("infinity", ""),
        ("", ""),
        ("200ms", "20%"),
        ("1s 500ms", "150%"),
        ("2s", "200%"),
        ("2.500ms", "0.25%"),
    ],
)
def test_a_quota_is_written_as_it_was_shown(shown: str, written: str) -> None:
    assert _systemctl.quota(shown) == written
