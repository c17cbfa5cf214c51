"""The lab's network on this very machine: real namespaces, real packets, and what is left when it is gone."""

import json
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import permutations
from math import sqrt
from pathlib import Path
from typing import Any

import psutil
import pytest

from engine import switch
from engine.errors import BadInput, EngineError, Refused, Unreachable
from engine.lab import labs
from engine.lab.records import Record
from tests.engine import labs as helper
from tests.engine.labs import ROOT, counters, echo, ping, send, traces
from tests.waiting import until

# The commands as a person without rights gives them, and a look from the inside in between.
WITHOUT_ROOT = """
import os, shutil, subprocess, sys
from pathlib import Path
from engine import state
from engine.__main__ import main
from engine.lab import records
from engine.lab.spaces import space

def command(*words):
    sys.argv = ["engine", "lab", *words]
    assert main() == 0

command("up", "empty", "--nodes", "2")
record = records.named(state.root(), "empty")
shutil.copy(Path(record.folder, records.FILE), state.root() / "record.json")
look = "print('inside:', open('/proc/net/dev').read().count('e0:'), 'device, root:', __import__('os').geteuid() == 0)"
print(subprocess.run([*space(record, "n1").entered(), sys.executable, "-c", look], capture_output=True, text=True).stdout)
command("list")
command("down")
"""
NODES = ("n1", "n2", "n3")
LINUX = tuple(map(int, re.findall(r"\d+", platform.release())[:2]))


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Record]:
    with helper.lab(tmp_path_factory.mktemp("lab")) as found:
        yield found


@pytest.fixture(autouse=True)
def nothing_is_disturbed(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "record" in request.fixturenames:
        switch.call(request.getfixturevalue("record").switch, {"do": "clear", "mark": "m"})


def disturb(record: Record, how: dict[str, Any], direction: str = "both", *, seconds: float = 60.0) -> None:
    """What n2 exchanges with n1."""
    switch.call(
        record.switch,
        {
            "do": "disturb", "mark": "m", "node": "n2", "others": ["n1"], "direction": direction, "how": how,
            "until": time.time() + seconds,
        },
    )  # fmt: skip


def marks(record: Record) -> dict[str, Any]:
    return dict(switch.call(record.switch, {"do": "read"})["marks"])


def test_every_node_reaches_every_other_and_clients_reach_them_all(record: Record) -> None:
    with counters(record, [*NODES, "clients"]) as count:
        for source, target in permutations([*NODES, "clients"], 2):
            send(record, source, target, 3)
        assert {name: one.come()[1] for name, one in count.items()} == dict.fromkeys(count, 9)


def test_a_one_way_cut_is_one_way_and_nobody_else_is_cut(record: Record) -> None:
    disturb(record, {"cut": True}, "to-node")
    with counters(record, NODES) as count:
        for source, target in (("n1", "n2"), ("n2", "n1"), ("n3", "n2"), ("n2", "n3")):
            send(record, source, target, 20)
            came = count[target].come()
            assert came == ((0, 0) if (source, target) == ("n1", "n2") else (20, 20)), (source, target)
    assert marks(record) == {"m": [["n1", "n2"]]}


def test_a_cut_is_both_ways_where_nothing_else_is_said(record: Record) -> None:
    disturb(record, {"cut": True})
    with counters(record, ["n1", "n2"]) as count:
        send(record, "n1", "n2", 5)
        send(record, "n2", "n1", 5)
        assert [count["n1"].come(), count["n2"].come()] == [(0, 0), (0, 0)]


@pytest.mark.parametrize("share", [0.01, 0.05, 0.3])
def test_as_much_is_lost_as_was_asked(record: Record, share: float) -> None:
    disturb(record, {"loss": share}, "to-node")
    sent = 4000
    with counters(record, ["n2"]) as count:
        send(record, "n1", "n2", sent)
        lost = sent - count["n2"].come()[0]
    spread = 5 * sqrt(sent * share * (1 - share))  # one run in two million is further off
    assert abs(lost - sent * share) <= spread


def test_packets_are_doubled_and_overtake_one_another_but_none_is_lost(record: Record) -> None:
    disturb(record, {"duplicate": 1.0, "reorder": 0.2}, "to-node")
    with counters(record, ["n2"]) as count:
        send(record, "n1", "n2", 200)
        assert count["n2"].come() == (200, 400)


def test_as_many_are_overtaken_as_was_asked_also_by_a_switch_that_is_late(record: Record) -> None:
    disturb(record, {"reorder": 0.3}, "to-node")
    with counters(record, ["n2"]) as count:
        with late(record):
            send(record, "n1", "n2", 150)
            time.sleep(0.05)  # by so much they are late at least
        all, overtaken = count["n2"].overtaken()
    assert all == 150
    assert abs(overtaken - 150 * 0.3) <= 5 * sqrt(150 * 0.3 * 0.7)


def test_a_switch_that_is_late_keeps_the_order_of_what_it_only_delays(record: Record) -> None:
    disturb(record, {"latency": 0.2}, "to-node")
    with counters(record, ["n2"]) as count:
        send(record, "n1", "n2", 50)
        with late(record):
            send(record, "n1", "n2", 50, first=50)
            time.sleep(0.25)  # so that all of them are due before the switch sees them
        assert count["n2"].overtaken() == (100, 0)


@contextmanager
def late(record: Record) -> Iterator[None]:
    """The switch does nothing for so long; what is sent waits in the kernel."""
    switch = psutil.Process(_switch(record))
    switch.suspend()
    try:
        yield
    finally:
        switch.resume()


def test_a_changed_packet_is_dropped_by_its_receiver(record: Record) -> None:
    disturb(record, {"corrupt": 1.0}, "to-node")
    with counters(record, ["n2"]) as count:
        send(record, "n1", "n2", 50)
        assert count["n2"].come()[0] == 0


def test_a_delay_is_there_in_full_each_way_and_only_where_it_was_asked(record: Record) -> None:
    disturb(record, {"latency": 0.02})
    with echo(record, "n2"):
        assert ping(record, "n1", "n2") >= 0.04
        assert ping(record, "n3", "n2") < 0.04


def test_a_disturbance_ends_at_its_time_by_itself(record: Record) -> None:
    disturb(record, {"cut": True}, seconds=0.3)
    until(lambda: not marks(record))
    with counters(record, ["n2"]) as count:
        send(record, "n1", "n2", 5)
        assert count["n2"].come() == (5, 5)


def test_two_disturbances_of_one_way_are_there_at_once(record: Record) -> None:
    disturb(record, {"latency": 0.01})
    switch.call(
        record.switch,
        {"do": "disturb", "mark": "o", "node": "n1", "others": ["n2"], "how": {"latency": 0.02},
         "until": time.time() + 60},
    )  # fmt: skip
    with echo(record, "n2"):
        assert ping(record, "n1", "n2") >= 0.06
        switch.call(record.switch, {"do": "clear", "mark": "o"})
        assert 0.02 <= ping(record, "n1", "n2") < 0.06


@pytest.mark.parametrize(
    "wrong",
    [
        {"cot": True},
        {},
        {"loss": 2},
        {"latency": -1},
        {"latency": 1, "distribution": "odd"},
        {"loss": "much"},
    ],
)
def test_what_is_not_understood_changes_nothing(record: Record, wrong: dict[str, Any]) -> None:
    with pytest.raises(EngineError, match="does not understand"):
        disturb(record, wrong)
    with pytest.raises(EngineError, match="does not understand"):
        disturb(record, {"cut": True}, "sideways")
    assert not marks(record)


def stream(record: Record, size: int) -> tuple[str, str]:
    """Sends so many random bytes from n1 to n2; the digests of what was sent, and of what came."""
    there = helper.address(record, "n2")
    sink = (
        "import socket,hashlib,sys;s=socket.create_server((sys.argv[1],5000));print('ready',flush=True)\n"
        "c,_=s.accept();h=hashlib.sha256()\nwhile d:=c.recv(1<<20):h.update(d)\nprint(h.hexdigest())"
    )
    source = (
        f"import socket,hashlib,random,sys;b=random.randbytes({size})\n"
        "c=socket.create_connection((sys.argv[1],5000));c.sendall(b);c.close()\n"
        "print(hashlib.sha256(b).hexdigest())"
    )
    with subprocess.Popen(helper.at(record, "n2", sink, there), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        process.stdout.readline()
        sent = subprocess.run(helper.at(record, "n1", source, there), capture_output=True, text=True)
        return sent.stdout.strip(), process.stdout.read().strip()


def test_a_large_stream_comes_whole_while_packets_are_lost(record: Record) -> None:
    disturb(record, {"loss": 0.01, "corrupt": 0.01})
    sent, come = stream(record, 1 << 21)
    assert sent == come != ""


def test_a_large_stream_comes_whole_in_packets_as_large_as_the_kernel_makes_them(record: Record) -> None:
    def sent() -> tuple[int, int]:
        look = "print(next(line for line in open('/proc/net/dev') if 'e0:' in line).partition(':')[2])"
        found = subprocess.run(helper.at(record, "n1", look), capture_output=True, text=True).stdout.split()
        return int(found[8]), int(found[9])

    before = sent()
    first, last = stream(record, 1 << 26)
    assert first == last != ""
    size, packets = (b - a for a, b in zip(before, sent(), strict=True))
    assert size / packets > (65_536 if LINUX >= (6, 3) else 20_000)


def test_a_switch_that_is_killed_comes_back_and_what_it_disturbed_is_over(record: Record) -> None:
    disturb(record, {"cut": True})
    old = _switch(record)
    os.kill(old, signal.SIGKILL)
    until(lambda: _answers(record) and _switch(record) != old)
    assert marks(record) == {}
    with counters(record, ["n2"]) as count:
        send(record, "n1", "n2", 5)
        assert count["n2"].come() == (5, 5)


def test_two_labs_at_once_do_not_hear_each_other(record: Record, tmp_path: Path) -> None:
    with helper.lab(tmp_path, "other", nodes=1) as other, counters(other, ["n1"]) as count:
        assert other.network != record.network
        blind = f"try:\n{_indented(helper.SEND)}except OSError: pass"
        subprocess.run(helper.at(record, "n1", blind, helper.address(other, "n1"), "5"), check=True)
        assert count["n1"].come() == (0, 0)


def test_a_lab_whose_keeper_is_killed_is_gone_with_all_that_ran_in_it(tmp_path: Path) -> None:
    with helper.lab(tmp_path) as record:
        asleep = _asleep(record)
        assert traces(record)
        os.kill(record.keeper["pid"], signal.SIGKILL)
        asleep.wait(timeout=20)
        until(lambda: not traces(record))


def test_what_a_lab_left_whose_every_part_was_killed_is_found_and_taken_away(tmp_path: Path) -> None:
    with helper.lab(tmp_path) as record:
        asleep = _asleep(record)
        parts = psutil.Process(record.keeper["pid"]), psutil.Process(_switch(record))
        for part in parts:
            part.suspend()  # so that the one does not see the other die
        for part in parts:
            part.kill()
        until(lambda: not record.alive)
        assert asleep.poll() is None
        assert labs.clear(tmp_path) == ["lab"]
        asleep.wait(timeout=20)
        until(lambda: not traces(record))
        assert labs.clear(tmp_path) == []


def test_a_lab_on_a_leash_ends_with_whoever_brought_it_up(tmp_path: Path) -> None:
    helper.may(os.geteuid() == 0)
    argv = [sys.executable, "-m", "engine", "lab", "up", "empty", "--stay", "--state", str(tmp_path)]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE) as starter:
        assert starter.stdout
        starter.stdout.readline()
        found = labs.records.named(tmp_path, "empty")
        assert traces(found)
        starter.kill()
    until(lambda: not traces(found))


def test_the_host_keeps_its_own_network_as_it_was(tmp_path: Path) -> None:
    def own() -> list[str]:
        """But for the networks of labs: others may be tested on this host at the same time."""
        routes = Path("/proc/net/route").read_text().splitlines()
        forwards = Path("/proc/sys/net/ipv4/ip_forward").read_text()
        return [line for line in [*routes, forwards] if not line.startswith("cb")]

    before = own()
    with helper.lab(tmp_path) as record:
        assert own() == before
    assert own() == before
    until(lambda: not traces(record))  # the kernel takes namespaces down in its own time


def test_a_name_that_is_up_is_refused_and_one_that_is_none_is_told(record: Record) -> None:
    root = Path(record.folder).parents[1]
    with pytest.raises(Refused, match="up already"):
        labs.up(root, "lab", None, ["n1"], with_root=record.root)
    with pytest.raises(BadInput, match="no name for a lab"):
        labs.up(root, "../x", None, ["n1"], with_root=record.root)
    with pytest.raises(Unreachable, match="no lab called"):
        labs.records.named(root, "nothing")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody without rights")
def test_without_root_a_lab_comes_up_is_used_and_goes() -> None:
    helper.may(False)
    with tempfile.TemporaryDirectory(dir="/tmp") as name:  # pytest's own folder is closed to others
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "state").mkdir()
        os.chown(folder / "state", helper.NOBODY, helper.NOBODY)
        done = helper.as_nobody(folder, "-c", WITHOUT_ROOT)
        assert "inside: 1 device, root: True" in done.stdout, done.stderr
        assert "empty: gone" in done.stdout, done.stderr
        told = json.loads((folder / "state" / "record.json").read_text())
        record = Record(**told)
        assert record.root is False
        assert record.owner == [helper.NOBODY, helper.NOBODY]
        assert not traces(record)


def test_a_machine_that_forbids_user_namespaces_is_told_so_in_words() -> None:
    helper.may(False)
    code = "from engine.lab import namespaces; print(namespaces.why_not(False))"
    argv = ["unshare", "--user", "--map-root-user", "sh", "-c",
            'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"', "sh", sys.executable, "-c", code]  # fmt: skip
    said = subprocess.run(argv, capture_output=True, text=True, cwd=ROOT, check=True).stdout
    assert "forbids user namespaces" in said
    assert "max_user_namespaces" in said


def _switch(record: Record) -> int:
    children = psutil.Process(record.keeper["pid"]).children()
    return next((c.pid for c in children if "engine.switch.server" in c.cmdline()), 0)


def _answers(record: Record) -> bool:
    try:
        return bool(switch.call(record.switch, {"do": "hello"}))
    except EngineError:
        return False


def _asleep(record: Record) -> "subprocess.Popen[bytes]":
    """A process that lives at n1, of which the lab knows nothing."""
    argv = helper.at(record, "n1", "import time; print(1, flush=True); time.sleep(600)")
    process = subprocess.Popen(argv, stdout=subprocess.PIPE)
    assert process.stdout
    process.stdout.readline()
    return process


def _indented(code: str) -> str:
    return "".join(f"    {line}\n" for line in code.strip().splitlines())
