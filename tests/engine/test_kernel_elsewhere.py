"""Cuts in the kernel of nodes that the docker, systemd and ssh drivers control: what comes through is asked of the nodes
themselves, and it comes through again when all that made the cut is killed."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker as sdk
import psutil
import pytest

from engine import undo
from engine.faults.partition import Partition
from engine.host import networks
from engine.target import Node, Target
from tests.engine import docker_engine
from tests.engine.booted import MODES, Booted
from tests.engine.docker_engine import DockerEngine
from tests.engine.far import ROOT, FarEnd, end_warden
from tests.engine.sshd import Sshd
from tests.kernel import inject
from tests.networks import Space, join, need_networks, network, reaches, seen, space_of, tables
from tests.waiting import until

pytestmark = pytest.mark.systems
GONE = "the kernel has no rule of it any more"
UP_TO = 8.0  # seconds after which the kernel itself ends a cut
BARE = '#!/bin/sh\nexec {python} -S -s "$@"\n'  # a Python without anybody's packages
ID = "a1"


@dataclass
class Host:
    """A network with nodes, and how chaosboard's engine is started where the node `victim` is controlled."""

    spaces: list[Space]
    victim: dict[str, Any]
    command: list[str]

    @property
    def peers(self) -> list[dict[str, str]]:
        others = [one for one in self.spaces if one.name != self.victim["name"]]
        return [{"name": one.name, "address": f"{one.address}:80"} for one in others]

    def cut(self, far: FarEnd, first: str, direction: str, seconds: float = 60) -> None:
        """What `first`, or the victim, sends the other one: nobody else is meant."""
        params = {"nodes": [self.victim["name"]], "between": "peers", "direction": direction}
        record = {
            "id": ID,
            "run": "r",
            "step": "f0",
            "fault": "partition",
            "params": params,
            "seconds": seconds,
        }
        peers = [peer for peer in self.peers if peer["name"] == first]
        for order in ({"do": "prepare", "record": record, "node": {"kind": "", **self.victim}, "peers": peers},
                      {"do": "inject", "id": ID}):  # fmt: skip
            assert far.ask(order.pop("do"), **order) == {}


@pytest.fixture(scope="module")
def engine() -> Iterator[DockerEngine]:
    with docker_engine.running() as one:
        yield one


@pytest.fixture
def containers(engine: DockerEngine) -> Iterator[Host]:
    """Three on a network of the engine; the second is hurt."""
    need_networks()
    pool = sdk.types.IPAMPool(subnet="172.31.79.0/24")
    engine.client.networks.create("front", driver="bridge", ipam=sdk.types.IPAMConfig(pool_configs=[pool]))
    spaces = []
    for name in ("n1", "n2", "n3"):
        container = engine.run(name, network="front")
        container.reload()
        state, settings = container.attrs["State"], container.attrs["NetworkSettings"]
        path = engine.proc(state["Pid"]) / "ns" / "net"
        spaces.append(Space(name, settings["Networks"]["front"]["IPAddress"], str(path)))
    driver = {"docker": {"container": "n2", "base_url": engine.url}}
    victim = {"name": "n2", "address": f"{spaces[1].address}:80", "driver": driver}
    inside = ["nsenter", "--all", "--target", str(engine.pid), f"--wd={ROOT}", "--"]
    yield Host(spaces, victim, inside)
    engine.clear()


def _running(init: int, word: str) -> list[psutil.Process]:
    found = []
    for process in psutil.Process(init).children(recursive=True):
        with suppress(psutil.Error):
            found += [process] if word in process.cmdline() else []
    return found


@pytest.fixture
def units(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """Two nodes, and a unit with a network of its own: the third, which is hurt."""
    need_networks()
    host = Booted(tmp_path_factory.mktemp("booted"), MODES[0])
    try:
        host.systemctl("start", "dbus", "apart")
        until(lambda: _running(host.init, "1005"))  # systemd tells of a start before the program is there
        [sleeps] = _running(host.init, "1005")
        with network(2) as net:
            unit = space_of("n3", "10.77.0.3", sleeps.pid)
            join(net.hub, unit, sleeps.pid)
            victim = {"name": "n3", "address": "10.77.0.3:80", "driver": {"systemd": {"unit": "apart"}}}
            yield Host([*net.spaces, unit], victim, host.inside())
    finally:
        host.stop()


@pytest.fixture(params=["containers", "units"])
def host(request: pytest.FixtureRequest) -> Host:
    return request.getfixturevalue(request.param)


@pytest.fixture
def far(host: Host, tmp_path: Path) -> Iterator[FarEnd]:
    yield from started(host, tmp_path)


def started(host: Host, folder: Path) -> Iterator[FarEnd]:
    one = FarEnd(folder / "far", [*host.command, sys.executable, "-m", "engine.far", "--state"])
    yield one
    one.close()
    end_warden(one.state)


def kill_all(state: Path) -> None:
    """Whatever of chaosboard works on this state directory."""
    for process in psutil.process_iter(["cmdline"]):
        if str(state) in (process.info["cmdline"] or []):
            process.kill()


@pytest.mark.parametrize("direction", ["to-node", "from-node"])
def test_one_way_between_two_nodes_is_cut_and_healed(host: Host, far: FarEnd, direction: str) -> None:
    before = [tables(space) for space in host.spaces]  # Docker has rules of its own there
    assert seen(host.spaces) == set()
    other, name = host.spaces[0].name, host.victim["name"]
    host.cut(far, other, direction)
    far.ask("renew", id=ID)
    assert seen(host.spaces) == {(other, name) if direction == "to-node" else (name, other)}
    assert far.ask("look", id=ID)["gone"] is False
    for _ in range(2):
        assert far.ask("heal", id=ID) == {"gone": True, "text": GONE}
    assert seen(host.spaces) == set()
    assert [tables(space) for space in host.spaces] == before


def test_all_of_it_is_killed_and_the_cut_ends_by_itself(host: Host, far: FarEnd, tmp_path: Path) -> None:
    other, name = host.spaces[0].name, host.victim["name"]
    host.cut(far, other, "both", UP_TO)
    far.ask("renew", id=ID)
    kill_all(far.state)
    assert seen(host.spaces) == {(other, name), (name, other)}
    until(lambda: seen(host.spaces) == set())
    victim = next(space for space in host.spaces if space.name == name)
    assert "chaosboard_" in tables(victim)  # what is left does nothing
    for again in started(host, tmp_path):  # it heals first
        until(lambda: "chaosboard_" not in tables(victim))
        assert again.ask("look", id=ID) == {"gone": True, "text": GONE}


# By ssh: this machine stands for the other host too


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    one = Sshd(tmp_path_factory.mktemp("sshd"))
    yield one
    end_warden(one.home / "state")
    one.stop()


@pytest.fixture
def by_ssh(sshd: Sshd, state: Path) -> Iterator[tuple[list[Space], Target]]:
    """Three nodes, each with a network of its own, reached by a Python that has nothing but psutil."""
    need_networks()
    python = sshd.folder / "python"
    python.write_text(BARE.format(python=sys._base_executable))
    python.chmod(0o755)
    with network(3) as net:
        sleepers = [net.start(space, "sleep", "600") for space in net.spaces]
        until(lambda: all(networks.elsewhere(one.pid) for one in sleepers))
        nodes = tuple(
            Node(space.name, f"{space.address}:80", control="ssh",
                 control_params=sshd.driver(local={"process": {"pid": one.pid}}, python=str(python)))
            for space, one in zip(net.spaces, sleepers, strict=True)
        )  # fmt: skip
        yield net.spaces, Target("far", nodes)
        undo.heal_all(state)
    end_warden(state)


def test_a_link_between_nodes_of_another_host_is_cut_there(
    by_ssh: tuple[list[Space], Target], state: Path
) -> None:
    spaces, target = by_ssh
    records = inject(state, target, Partition(links=["n1 -> n2"]))
    for record in records:
        undo.renew(state, record)
    assert seen(spaces) == {("n1", "n2")}
    assert [(healed.state, healed.text) for healed in undo.heal_all(state)] == [("clean", GONE)]
    assert seen(spaces) == set()
    assert [tables(space) for space in spaces] == ["", "", ""]


INJECTOR = """
import json, os, random, sys, time
from pathlib import Path
from engine import undo, warden
from engine.faults.partition import Partition
from engine.target import Target
state, target = Path(os.environ["CHAOSBOARD_STATE"]), Target.from_dict(json.loads(sys.argv[1]))
warden.ensure(state)
[piece] = Partition(links=["n1 -> n2"]).aim(target, None, random.Random(0)).pieces
record = undo.inject(
    state, undo.prepare(state, "r", "f0", "partition", piece.fault, piece.node, float(sys.argv[2]), peers=piece.peers)
)
while True:
    undo.renew(state, record)
    print("cut", flush=True)
    time.sleep(0.5)
"""


def test_here_and_there_all_is_killed_and_the_cut_ends_by_itself(
    by_ssh: tuple[list[Space], Target], sshd: Sshd, state: Path
) -> None:
    spaces, target = by_ssh
    argv = [sys.executable, "-c", INJECTOR, json.dumps(target.to_dict()), str(UP_TO)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=ROOT) as injector:
        assert injector.stdout
        assert injector.stdout.readline() == "cut\n"
        injector.send_signal(signal.SIGKILL)
    for connection in sshd.connections():
        connection.kill()
    for one in (state, sshd.home / "state"):
        kill_all(one)
    assert seen(spaces) == {("n1", "n2")}
    until(lambda: reaches(spaces[0], spaces[1]))
    assert "chaosboard_" in "".join(tables(space) for space in spaces)  # what is left does nothing
    assert {healed.state for healed in undo.heal_all(state)} == {"clean"}
    assert [tables(space) for space in spaces] == ["", "", ""]
