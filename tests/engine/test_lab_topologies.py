"""Topologies and faults on packets in a lab: what its nodes reach is asked of them, not of the switch."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.topologies import TOPOLOGIES, cluster, inject, shaped, topology
from engine import links, undo
from engine.faults.latency import Latency
from engine.faults.partition import Partition
from engine.lab.programs import ETCD
from engine.lab.records import Record
from engine.target import Target
from tests.engine.labs import may, missing
from tests.reaching import Seats, seats
from tests.rights import another_user

pytestmark = pytest.mark.systems
ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Up:
    record: Record
    target: Target
    state: Path
    all: Seats


@pytest.fixture(scope="module")
def up() -> Iterator[Up]:
    if os.geteuid() != 0:
        pytest.skip("without root the nodes cannot be reached from here, only inside the lab")
    may(True)
    if not ETCD.find():
        missing(f"there is no etcd: {ETCD.remedy}")
    before = os.environ.get("CHAOSBOARD_STATE")
    with cluster(5) as (record, target, state), seats(record) as all:
        yield Up(record, target, state, all)
    os.environ.pop("CHAOSBOARD_STATE")
    if before is not None:
        os.environ["CHAOSBOARD_STATE"] = before


CHOSEN = [one for one in TOPOLOGIES if one[0] in ("majorities-ring", "one-way n1", "leader-alone", "")]


@pytest.mark.parametrize(("text", "by_hand"), CHOSEN, ids=[text or "by hand" for text, _ in CHOSEN])
def test_a_topology_cuts_what_it_says_and_nothing_else_and_heals_whole(
    text: str, by_hand: tuple[str, ...], up: Up
) -> None:
    found = topology(text, by_hand, up.record, up.target, up.state, up.all)
    assert found.seen == found.wanted
    assert found.apart == found.wanted | {(b, a) for a, b in found.wanted}
    assert (found.after, found.left, set(found.states)) == (frozenset(), 0, {"clean"})


def test_a_one_way_cut_is_really_one_way(up: Up) -> None:
    try:
        inject(up.state, up.target, Partition(links=["n1 -> n2"]))
        assert up.all.silent() == {("n1", "n2")}
        assert up.all.unconnected() == {("n1", "n2"), ("n2", "n1")}
    finally:
        undo.heal_all(up.state)


def test_a_delay_between_a_node_and_its_peers_is_on_these_ways_only(up: Up) -> None:
    wanted, seen, left = shaped(
        Latency(delay=0.1), "peers", lambda s: s is not None and s.fastest > 0.09, up.state, up.target, up.all
    )
    assert (seen, left) == (wanted, set())


def test_the_links_of_a_lab_are_carried_by_its_switch(up: Up) -> None:
    assert {way.by for way in links.ways(up.target).values()} == {f"lab switch at n{i}" for i in range(1, 6)}


def test_without_root_the_nodes_see_the_same_in_a_user_namespace() -> None:
    may(False)
    argv = [
        sys.executable,
        "-m",
        "bench.topologies",
        "--nodes",
        "3",
        "--without-root",
        "--only",
        "one-way n1",
    ]
    with tempfile.TemporaryDirectory(prefix="chaosboard-rights-") as folder:
        os.chmod(folder, 0o777)
        environ = {**os.environ, "HOME": folder, "TMPDIR": folder, "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            [*another_user(), *argv], cwd=ROOT, env=environ, capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "without root" in done.stdout
    assert done.stdout.splitlines()[-1].endswith("held")
