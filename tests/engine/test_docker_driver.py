"""Containers of a real engine, hurt and healed; read back from the engine and from the kernel."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker as sdk
import psutil
import pytest

from engine import drivers, undo, warden
from engine.capabilities import Isolate, Limit, Pause
from engine.drivers import _docker_engine as containers
from engine.drivers import docker
from engine.drivers.docker import Docker
from engine.errors import Refused, Unreachable
from engine.faults import REGISTRY as FAULTS
from engine.faults.kill import Kill as KillFault
from engine.faults.pause import Pause as PauseFault
from engine.target import Node
from tests.engine import docker_engine
from tests.engine.docker_engine import DockerEngine
from tests.waiting import until

pytestmark = pytest.mark.systems
NODE = Node("one", "127.0.0.1:1")
MIB = 2**20
SUBNETS = {"front": "172.31.77.0/24", "back": "172.31.78.0/24"}


@pytest.fixture(scope="module")
def engine() -> Iterator[DockerEngine]:
    with docker_engine.running() as one:
        yield one


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CHAOSBOARD_STATE", str(tmp_path))
    for name in ("DOCKER_HOST", *containers.SERVICES):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture(autouse=True)
def clean(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "engine" in request.fixturenames:
        request.getfixturevalue("engine").clear()


def driver_of(engine: DockerEngine, container: str) -> Docker:
    return Docker(container=container, base_url=engine.url)


def status(container: Any) -> str:
    container.reload()
    return str(container.attrs["State"]["Status"])


def pid_of(container: Any) -> int:
    container.reload()
    return int(container.attrs["State"]["Pid"])


def endpoints(container: Any) -> dict[str, tuple[str, set[str]]]:
    """By network: the address and the names of the container there."""
    container.reload()
    found = container.attrs["NetworkSettings"]["Networks"]
    return {name: (one["IPAddress"], set(one["Aliases"] or [])) for name, one in found.items()}


def web_on_two_networks(engine: DockerEngine) -> Any:
    """A web server at a fixed address on `front`, and where the engine chose on `back`."""
    for name, subnet in SUBNETS.items():
        pool = sdk.types.IPAMPool(subnet=subnet)
        engine.client.networks.create(name, driver="bridge", ipam=sdk.types.IPAMConfig(pool_configs=[pool]))
    web = engine.run("web-1", "httpd -f -p 80 -h /www", network="back")
    engine.api.connect_container_to_network(web.id, "front", ipv4_address="172.31.77.9", aliases=["web"])
    until(lambda: engine.fetch("172.31.77.9") == "ok")
    return web


# Who is hurt, and who is not


def test_the_victim_is_named_with_its_image_and_pid(engine: DockerEngine) -> None:
    one = engine.run("web-1", restart_policy={"Name": "always"})
    driver = driver_of(engine, "web-1")
    assert driver.refusal(NODE) == ""
    named = f"container web-1 (image chaos-busybox:local), pid {pid_of(one)}, restart policy always"
    assert driver.victim(NODE) == named
    assert driver_of(engine, one.id[:12]).victim(NODE) == named


def test_a_container_that_is_not_there_or_does_not_run_is_named(engine: DockerEngine) -> None:
    engine.run("web-1").kill()
    assert "does not run, it is exited" in driver_of(engine, "web-1").refusal(NODE)
    assert "has no container web-2" in driver_of(engine, "web-2").refusal(NODE)
    assert driver_of(engine, "web-2").victim(NODE) == ""
    with pytest.raises(Unreachable, match="no container web-2"):
        driver_of(engine, "web-2").capture(NODE)


def test_chaosboard_and_what_it_needs_are_refused(
    engine: DockerEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.run("part", labels={"chaosboard.part": "web"})
    engine.run("other-part", environment={"CHAOSBOARD_PART": "worker"})
    for name in ("part", "other-part"):
        assert "part of chaosboard itself" in driver_of(engine, name).refusal(NODE)
    engine.client.networks.create("board", driver="bridge")
    engine.run("store", network="board", ports={"6379/tcp": ("127.0.0.1", 16379)})
    address = endpoints(engine.client.containers.get("store"))["board"][0]
    assert driver_of(engine, "store").refusal(NODE) == ""
    for url in ("redis://127.0.0.1:16379/0", "redis://store:6379/0", f"redis://{address}:6379"):
        monkeypatch.setenv("REDIS_URL", url)
        assert "serves chaosboard's own REDIS_URL" in driver_of(engine, "store").refusal(NODE)
    with pytest.raises(Refused, match="cuts the branch"):
        driver_of(engine, "store").capture(NODE)


def test_a_process_in_a_container_knows_it(engine: DockerEngine) -> None:
    one, other = engine.run("web-1"), engine.run("web-2")
    inside = engine.proc(pid_of(one)) / "mountinfo"
    assert containers.surrounds(one.id, inside)
    assert not containers.surrounds(other.id, inside)
    assert not containers.surrounds(one.id, engine.proc(1) / "mountinfo")  # that of dockerd, around them all


def test_a_foreign_pause_is_in_the_way(engine: DockerEngine, state: Path) -> None:
    one = engine.run("web-1")
    one.pause()
    driver = driver_of(engine, "web-1")
    assert "paused already" in driver.refusal(NODE)
    for capture in (driver.capture, driver.capture_limits, driver.capture_networks):
        with pytest.raises(Refused, match="docker unpause web-1"):
            capture(NODE)
    assert engine.frozen(one.id)


# Kill and restart


def test_a_killed_container_stays_down_until_it_is_started_again(engine: DockerEngine) -> None:
    """Also under a restart policy: that is for what ends by itself, not for what its engine was told to end."""
    one = engine.run("web-1", restart_policy={"Name": "always"})
    driver = driver_of(engine, "web-1")
    pid, captured = pid_of(one), driver.capture(NODE)
    driver.signal(captured, "KILL")
    driver.signal(captured, "KILL")  # there is nobody left to get it
    assert status(one) == "exited"
    assert one.attrs["State"]["ExitCode"] == 137
    assert not engine.proc(pid).exists()
    assert driver.running(NODE, captured).gone is False

    driver.start(NODE, captured)
    driver.start(NODE, captured)

    found = driver.running(NODE, captured)
    assert found.gone is True
    assert found.text == f"container web-1 runs, pid {pid_of(one)}"
    assert engine.proc(pid_of(one)).exists()
    assert one.attrs["HostConfig"]["RestartPolicy"]["Name"] == "always"


def test_what_the_restart_policy_did_meanwhile_is_told(engine: DockerEngine) -> None:
    one = engine.run("web-1", restart_policy={"Name": "always"})
    driver = driver_of(engine, "web-1")
    captured = driver.capture(NODE)
    one.exec_run(["sh", "-c", "kill 1"])  # it ends by itself, so its engine starts it
    until(lambda: one.reload() or (one.attrs["RestartCount"] == 1 and status(one) == "running"))
    assert "its restart policy started it 1 time meanwhile" in driver.running(NODE, captured).text


def test_a_restart_stops_in_good_order_and_starts_the_same_container(engine: DockerEngine) -> None:
    one = engine.run("web-1")
    driver = driver_of(engine, "web-1")
    captured = driver.capture(NODE)
    driver.stop(captured, grace=5.0)
    assert status(one) == "exited"
    assert one.attrs["State"]["ExitCode"] == 0  # by its own hand, at SIGTERM
    driver.start(NODE, captured)
    assert status(one) == "running"
    assert engine.client.containers.get("web-1").id == captured["id"]


def test_one_that_does_not_stop_in_time_is_killed(engine: DockerEngine) -> None:
    one = engine.client.containers.run("chaos-busybox:local", ["sleep", "600"], name="deaf", detach=True,
                                       network_mode="none")  # fmt: skip
    driver_of(engine, "deaf").stop(driver_of(engine, "deaf").capture(NODE), grace=0.2)
    assert status(one) == "exited"
    assert one.attrs["State"]["ExitCode"] == 137


def test_a_container_that_would_vanish_is_not_ended(engine: DockerEngine, state: Path) -> None:
    one = engine.run("brief", auto_remove=True)
    node = Node("one", "127.0.0.1:1", "", "docker", {"container": "brief", "base_url": engine.url})
    record = undo.prepare(state, "r", "f0", "kill", KillFault(), node, 60)
    with pytest.raises(Refused, match="--rm"):
        undo.inject(state, record)
    assert status(one) == "running"
    assert undo.records(state) == []


# Pause


def test_a_paused_container_stands_still_and_goes_on(engine: DockerEngine) -> None:
    one = engine.run("web-1")
    driver = driver_of(engine, "web-1")
    captured = driver.capture(NODE)
    driver.pause(captured)
    assert status(one) == "paused"
    assert engine.frozen(one.id)
    assert driver.unpaused(captured).gone is False
    for _ in range(2):
        driver.unpause(captured)
        assert driver.unpaused(captured).gone is True
    assert status(one) == "running"
    assert not engine.frozen(one.id)


def test_a_pause_of_its_next_life_is_not_ours(engine: DockerEngine) -> None:
    one = engine.run("web-1")
    driver = driver_of(engine, "web-1")
    captured = driver.capture(NODE)
    driver.pause(captured)
    one.unpause()
    one.restart(timeout=0)
    one.pause()
    driver.unpause(captured)
    found = driver.unpaused(captured)
    assert found.gone is True
    assert "paused by somebody else" in found.text
    assert engine.frozen(one.id)


# Limit


def test_a_container_without_limits_has_none_again(engine: DockerEngine) -> None:
    one = engine.run("web-1")
    driver = driver_of(engine, "web-1")
    captured = driver.capture_limits(NODE)
    assert engine.limits(one.id) == (None, None)
    driver.limit(captured, "mark", 0.1, 64 * MIB)
    assert engine.limits(one.id) == (0.1, 64 * MIB)
    found = driver.unlimited(captured, "mark")
    assert found.gone is False
    assert "may use 0.1 processors and 64MiB of memory" in found.text
    for _ in range(2):
        driver.unlimit(captured, "mark")
        assert driver.unlimited(captured, "mark").gone is True
    assert engine.limits(one.id) == (None, None)
    one.restart(timeout=0)
    assert engine.limits(one.id) == (None, None)
    with containers.engine(engine.url, 5.0) as api:
        containers.update(api, one.id, {"NanoCpus": 500_000_000})  # its owner may limit it afterwards
    assert engine.limits(one.id) == (0.5, None)


@pytest.mark.parametrize(
    "had",
    [
        {"nano_cpus": 1_000_000_000, "mem_limit": 128 * MIB},
        {"cpu_quota": 50_000, "cpu_period": 25_000, "mem_limit": 128 * MIB, "memswap_limit": -1},
    ],
    ids=["processors", "quota"],
)
def test_the_limits_that_it_had_come_back_exactly(engine: DockerEngine, had: dict[str, int]) -> None:
    one = engine.run("web-1", **had)
    driver = driver_of(engine, "web-1")
    before = engine.limits(one.id)
    captured = driver.capture_limits(NODE)
    driver.limit(captured, "mark", 0.1, 64 * MIB)
    assert engine.limits(one.id) == (0.1, 64 * MIB)
    driver.unlimit(captured, "mark")
    assert engine.limits(one.id) == before
    one.reload()
    assert {name: one.attrs["HostConfig"][name] for name in captured["limits"]} == captured["limits"]
    assert driver.unlimited(captured, "mark").gone is True


def test_a_throttle_that_would_give_more_is_refused(engine: DockerEngine) -> None:
    one = engine.run("web-1", nano_cpus=500_000_000, mem_limit=64 * MIB)
    driver = driver_of(engine, "web-1")
    captured = driver.capture_limits(NODE)
    with pytest.raises(Refused, match=r"0\.5 processors already"):
        driver.limit(captured, "mark", 1.0, None)
    with pytest.raises(Refused, match="64MiB of memory already"):
        driver.limit(captured, "mark", None, 128 * MIB)
    with pytest.raises(Refused, match="The Docker engine says: Minimum memory limit"):
        driver.limit(captured, "mark", None, MIB)
    assert engine.limits(one.id) == (0.5, 64 * MIB)


# Isolate


def test_an_isolated_container_comes_back_with_its_names_and_addresses(engine: DockerEngine) -> None:
    web = web_on_two_networks(engine)
    client = engine.run("client", network="front")
    driver = driver_of(engine, "web-1")
    pid, before = pid_of(web), endpoints(web)
    assert len(engine.interfaces(pid)) == 2
    captured = driver.capture_networks(NODE)

    driver.isolate(captured, "mark")

    assert engine.interfaces(pid) == set()
    assert status(web) == "running"
    assert engine.fetch("172.31.77.9") == ""
    found = driver.rejoined(captured, "mark")
    assert found.gone is False
    assert "back and front" in found.text

    for _ in range(2):
        driver.rejoin(captured, "mark")
        assert driver.rejoined(captured, "mark").text == "container web-1 is on its networks again"
    assert endpoints(web) == before
    assert pid_of(web) == pid
    assert len(engine.interfaces(pid)) == 2
    until(lambda: engine.fetch("172.31.77.9") == "ok")
    assert b"172.31.77.9" in client.exec_run(["busybox", "nslookup", "web"]).output


def test_a_network_that_somebody_put_back_without_its_names_is_put_right(engine: DockerEngine) -> None:
    web = web_on_two_networks(engine)
    driver = driver_of(engine, "web-1")
    before, captured = endpoints(web), driver.capture_networks(NODE)
    driver.isolate(captured, "mark")
    engine.api.connect_container_to_network(web.id, "front")
    assert driver.rejoined(captured, "mark").gone is False
    driver.rejoin(captured, "mark")
    assert endpoints(web) == before


def test_what_could_not_be_put_back_is_not_taken_away(engine: DockerEngine) -> None:
    engine.run("bare")
    engine.client.networks.create("front", driver="bridge")
    engine.run("published", network="front", ports={"80/tcp": None})
    host = engine.run("host", network="front")
    engine.run("guest", network_mode=f"container:{host.id}")
    for name, why in (("bare", "no network of its own"), ("published", "port that its engine chooses"),
                      ("host", "shares its network with guest"), ("guest", "no network of its own")):  # fmt: skip
        with pytest.raises(Refused, match=why):
            driver_of(engine, name).capture_networks(NODE)


# Removed meanwhile, replaced, halted


def test_what_was_done_to_a_container_that_was_removed_is_gone_with_it(engine: DockerEngine) -> None:
    web = web_on_two_networks(engine)
    driver = driver_of(engine, "web-1")
    captured = {**driver.capture_limits(NODE), **driver.capture_networks(NODE)}
    web.remove(force=True)
    driver.unpause(captured)
    driver.unlimit(captured, "mark")
    driver.rejoin(captured, "mark")
    for found in (driver.unpaused(captured), driver.unlimited(captured, "m"), driver.rejoined(captured, "m")):
        assert found.gone is True
        assert "was removed meanwhile" in found.text
    for hurt in (driver.pause, lambda c: driver.limit(c, "m", 0.1, None), lambda c: driver.isolate(c, "m"),
                 lambda c: driver.signal(c, "KILL")):  # fmt: skip
        with pytest.raises(Unreachable, match="was removed in this moment"):
            hurt(captured)


def test_a_killed_container_that_was_removed_is_unknown_until_another_runs(
    engine: DockerEngine, state: Path
) -> None:
    one = engine.run("web-1")
    node = Node("one", "127.0.0.1:1", "", "docker", {"container": "web-1", "base_url": engine.url})
    record = undo.inject(state, undo.prepare(state, "r", "f0", "kill", KillFault(), node, 60))
    one.remove()
    healed = undo.heal(state, record.id, patience=0.1)
    assert (healed.state, "create it anew" in healed.text) == ("unverified", True)
    engine.run("web-1")
    healed = undo.heal(state, record.id, patience=0.1)
    assert (healed.state, "another one of its name runs" in healed.text) == ("clean", True)


def test_a_halted_engine_is_told_in_words_and_healed_later(
    engine: DockerEngine, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = engine.run("web-1")
    node = Node("one", "127.0.0.1:1", "", "docker", {"container": "web-1", "base_url": engine.url})
    record = undo.inject(state, undo.prepare(state, "r", "f0", "pause", PauseFault(), node, 60))
    for name in ("LOOKS", "ACTS"):
        monkeypatch.setattr(docker, name, 0.3)
        monkeypatch.setattr(containers, name, 0.3)
    monkeypatch.setattr(containers, "_told", {})
    os.kill(engine.pid, signal.SIGSTOP)
    try:
        why = driver_of(engine, "web-1").refusal(NODE)
        healed = undo.heal(state, record.id, patience=0.1)
        cannot = driver_of(engine, "web-1").cannot(Pause)
    finally:
        os.kill(engine.pid, signal.SIGCONT)
    for text in (why, healed.text, cannot):
        assert f"The Docker engine at {engine.url} does not answer. Is it halted or overloaded?" in text
    assert healed.state == "unverified"
    monkeypatch.undo()
    monkeypatch.setenv("CHAOSBOARD_STATE", str(state))
    assert undo.heal(state, record.id).state == "clean"
    assert status(one) == "running"


def test_an_engine_that_is_not_there_is_told_in_words(tmp_path: Path) -> None:
    nowhere = Docker(container="web-1", base_url=f"unix://{tmp_path}/socket")
    assert "cannot be reached: there is no such socket. Is it running" in nowhere.refusal(NODE)
    assert "no such socket" in nowhere.cannot(Isolate)
    node = Node("one", "127.0.0.1:1", "", "docker", {"container": "web-1", "base_url": nowhere.base_url})
    assert "no such socket" in drivers.lacks(node, Limit)
    with pytest.raises(Unreachable):
        nowhere.capture(NODE)


def test_the_faults_that_a_container_can_suffer(engine: DockerEngine) -> None:
    engine.run("web-1")
    node = Node("one", "127.0.0.1:1", "", "docker", {"container": "web-1", "base_url": engine.url})
    can = {name for name, fault in FAULTS if not drivers.lacks(node, fault.needs)}
    assert {"kill", "pause", "stop", "restart", "rolling-restart", "throttle", "isolate"} <= can
    assert "crash-loop" not in can  # it needs a node whose host is this one


# When everything that hurt them is dead

INJECTOR = """
import sys, time
from pathlib import Path
from engine import undo, warden
from engine.faults import REGISTRY
from engine.parameters import build
from engine.target import Node
state, url = Path(sys.argv[1]), sys.argv[2]
warden.ensure(state)
records = []
for i, name in enumerate(sys.argv[3:]):
    node = Node(name, f"127.0.0.1:{i + 1}", "", "docker", {"container": f"{name}d", "base_url": url})
    fault = build(REGISTRY.get(name), {})
    records.append(undo.inject(state, undo.prepare(state, "r", f"f{i}", name, fault, node, 600)))
    [undo.renew(state, record) for record in records]
print("hurt", flush=True)
while True:
    [undo.renew(state, record) for record in records]
    time.sleep(0.2)
"""


def test_the_warden_heals_all_of_it_when_who_hurt_is_killed(engine: DockerEngine, state: Path) -> None:
    """kill -9 of the injecting process: a kill, a pause, a throttle and an isolation heal by their leases."""
    engine.client.networks.create("front", driver="bridge")
    faults = ("kill", "pause", "throttle", "isolate")
    killed, paused, throttled, isolated = (engine.run(f"{name}d", network="front") for name in faults)
    before, pid = endpoints(isolated), pid_of(isolated)
    command = [sys.executable, "-c", INJECTOR, str(state), engine.url, *faults]
    injector = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert injector.stdout.readline() == "hurt\n"
    assert status(killed) == "exited"
    assert engine.frozen(paused.id)
    assert engine.limits(throttled.id) == (0.1, None)
    assert engine.interfaces(pid) == set()
    injector.send_signal(signal.SIGKILL)
    injector.wait()

    until(lambda: undo.records(state) == [])

    assert status(killed) == "running"
    assert not engine.frozen(paused.id)
    assert engine.limits(throttled.id) == (None, None)
    assert len(engine.interfaces(pid)) == 1
    assert endpoints(isolated).keys() == before.keys()
    _end_the_warden(state)


def _end_the_warden(state: Path) -> None:
    for process in psutil.process_iter(["cmdline"]):
        if {"warden", str(state)} <= set(process.info["cmdline"] or []):
            os.kill(process.pid, signal.SIGTERM)
    until(lambda: not warden.watching(state))
