"""The kernel driver: what is never cut, what is not ours, and what is found when its record is lost."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine import undo
from engine.drivers.kernel import Kernel
from engine.errors import Refused
from engine.faults.partition import Partition
from engine.host import networks, nft, shaping, sweeping
from engine.state import sign
from engine.target import Target
from tests.kernel import ROOT, SERVE, inject
from tests.networks import Network, need_networks, reaches, tables
from tests.waiting import until


def test_rules_and_queues_whose_record_is_lost_are_swept_when_their_time_is_over(
    net: Network, three: Target, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "REST", 0.2)
    kernel, records = Kernel(), {"kept"}
    captured = kernel.capture_packets(three.nodes[0], three.nodes[1:])
    space = net.spaces[0]
    for mark, seconds in (("lost", 1.0), ("kept", 1.0), ("lasts", 60.0)):
        kernel.disturb_packets(captured, mark, {"cut": True}, time.time() + seconds)
    networks.inside(space.path, lambda: nft.order("add table inet chaosboard_theirs"))
    sweeper = sweeping.Sweeper(sign(state), lambda mark: mark in records)
    try:
        until(lambda: sweeper.sweep() == ["lost"], timeout=15)
        left = tables(space)
        assert "chaosboard_lost" not in left
        assert all(f"chaosboard_{name}" in left for name in ("kept", "lasts", "theirs"))
    finally:
        networks.inside(space.path, lambda: nft.order("delete table inet chaosboard_theirs"))
        for mark in ("kept", "lasts"):
            kernel.undisturb_packets(captured, mark)
    assert tables(space) == ""


def test_a_device_of_ours_without_rules_is_swept(
    net: Network, three: Target, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "REST", 0.2)
    space = net.spaces[0]
    networks.inside(space.path, lambda: shaping.make("half", {"rate": 100_000.0}))
    sweeper = sweeping.Sweeper(sign(state), lambda mark: False)
    until(lambda: sweeper.sweep() == ["half"], timeout=15)
    assert networks.inside(space.path, lambda: shaping.left("half")) == []


def test_what_was_made_for_another_state_directory_is_left_to_its_own_warden(
    net: Network, three: Target, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "REST", 0.0)
    kernel, devices = Kernel(), {"one": net.spaces[1], "two": net.spaces[2]}
    for name, space in devices.items():
        monkeypatch.setenv("CHAOSBOARD_STATE", str(state / name))
        captured = kernel.capture_packets(three.nodes[0], three.nodes[1:])
        kernel.disturb_packets(captured, f"rules_{name}", {"cut": True}, time.time() + 0.1)
        networks.inside(space.path, lambda name=name: shaping.make(f"half_{name}", {"rate": 100_000.0}))

    def left() -> set[str]:
        rules = {name for name in devices if f"chaosboard_rules_{name}" in tables(net.spaces[0])}
        return rules | {
            f"device of {name}"
            for name, space in devices.items()
            if networks.inside(space.path, lambda name=name: shaping.left(f"half_{name}"))
        }

    assert left() == {"one", "two", "device of one", "device of two"}
    for name, others in (("one", {"two", "device of two"}), ("two", set())):
        sweeper, swept = sweeping.Sweeper(sign(state / name), lambda mark: False), set[str]()
        until(lambda: swept.update(sweeper.sweep()) or len(swept) == 2, timeout=15)  # noqa: B023 - called here
        assert swept == {f"rules_{name}", f"half_{name}"}
        assert left() == others


def test_what_the_board_itself_uses_is_spared_by_address_and_refused_as_a_victim(
    net: Network, three: Target, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", f"redis://{net.hub.address}/0")  # its usual port is meant
    kernel = Kernel()
    captured = kernel.capture_packets(three.nodes[0], three.nodes[1:])
    assert captured["endpoints"] == [(net.hub.address, 6379)]
    server = networks.inside(net.hub.path, lambda: socket.create_server((net.hub.address, 6379)))
    inject(state, three, Partition(nodes=["n1"], between="all"))
    try:
        with server:
            there = (net.hub.address, 6379)
            networks.inside(net.spaces[0].path, lambda: socket.create_connection(there, 5)).close()
        assert not reaches(net.spaces[0], net.hub, within=0.1)
    finally:
        undo.heal_all(state)
    monkeypatch.setenv("DATABASE_URL", f"postgres://u:p@{net.spaces[0].address}:80/board")
    with pytest.raises(Refused, match="never cuts the branch it sits on"):
        kernel.capture_packets(three.nodes[0], three.nodes[1:])
    monkeypatch.setenv("DATABASE_URL", "postgres://nowhere.invalid/board")
    with pytest.raises(Refused, match="chaosboard's own DATABASE_URL, is not known"):
        kernel.capture_packets(three.nodes[0], three.nodes[1:])


def test_a_foreign_table_of_our_name_is_refused_and_left_alone(net: Network, three: Target) -> None:
    kernel, space = Kernel(), net.spaces[0]
    captured = kernel.capture_packets(three.nodes[0], three.nodes[1:])
    networks.inside(space.path, lambda: nft.order("add table inet chaosboard_theirs"))
    try:
        with pytest.raises(Refused, match="did not make"):
            kernel.disturb_packets(captured, "theirs", {"cut": True}, time.time() + 10)
        kernel.undisturb_packets(captured, "theirs")
        assert "chaosboard_theirs" in tables(space)
        assert kernel.undisturbed(captured, "theirs").gone is None
    finally:
        networks.inside(space.path, lambda: nft.order("delete table inet chaosboard_theirs"))


def test_ports_that_keep_the_host_reachable_are_never_cut(net: Network, three: Target, state: Path) -> None:
    space = net.spaces[0]
    environ = {**os.environ, "CHAOSBOARD_PART": "broker"}
    part = net.start(space, sys.executable, "-c", SERVE.replace("80", "6379"), env=environ)
    until(lambda: networks.listening([part.pid], part.pid) == [6379])
    inject(state, three, Partition(nodes=["n1"], between="all"))
    try:
        assert not reaches(net.hub, space, within=0.1)
        networks.inside(net.hub.path, lambda: socket.create_connection((space.address, 6379), 5)).close()
    finally:
        undo.heal_all(state)
        os.killpg(part.pid, signal.SIGKILL)


def scene(name: str, state: Path) -> list[str]:
    """What a scene of `on_one_host` prints, in a network and mounts of its own."""
    need_networks()
    script = 'echo nameserver 10.9.0.1 > "$1/names" && mount --bind "$1/names" /etc/resolv.conf && shift && exec "$@"'
    argv = [sys.executable, "-m", "tests.engine.on_one_host", name, str(state)]
    done = subprocess.run(
        ["unshare", "--net", "--mount", "sh", "-c", script, "sh", str(state), *argv],
        capture_output=True, text=True, check=False, cwd=ROOT, env={**os.environ, "CHAOSBOARD_STATE": str(state)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_nodes_that_share_a_network_are_told_apart_by_their_ports_or_not_at_all(state: Path) -> None:
    assert scene("two", state) == [
        "cut from clients: one False, two True", "healed: one True, two True, clean, no table",
        "rehearsed: n1 and its peers share the network of one host, at 127.0.0.1",
        "refused: n1 and its peers share the network of one host, at 127.0.0.1",
        "answered: one ConnectionRefusedError, two yes",
        "another's port: Nothing of n1 is at port 82, so nothing would be cut.", "no record, no table",
    ]  # fmt: skip


def test_on_one_host_a_peer_is_cut_off_by_its_address_and_other_services_are_not(state: Path) -> None:
    assert scene("peers", state) == [
        "by peer: False False True True True", "another service at these addresses: True True",
        "healed: True True True True True no table",
    ]  # fmt: skip


def test_what_keeps_the_host_and_the_board_reachable_is_spared_and_refused(state: Path) -> None:
    reachable = "keeps this host or chaosboard reachable; it is never cut."
    assert scene("spared", state) == [
        "spared: [22, 6379]", "all is cut: False but True True",
        "ssh's port: Port 22 is held by PID, not by PID.",
        "the broker's port: Port 6379 is held by PID, not by PID.",
        "sshd: PID keeps this host reachable; it is never hurt.",
        "no port is known: n1 shares its network with others, and no port of it is known",
        f"the name server: n1 is the name server of this host, which {reachable}", f"by port: Port 22 {reachable}",
        "foreign tables are as they were: True",
    ]  # fmt: skip


def test_a_warden_that_runs_removes_the_rules_of_a_run_whose_record_is_gone(state: Path) -> None:
    assert scene("swept", state) == ["lost: tables", "its time is over", "removed"]
