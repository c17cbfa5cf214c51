import json
import os
import subprocess
import sys
from pathlib import Path

from engine.faults.kill import Kill
from engine.faults.partition import Partition
from engine.links import preview, rows, ways
from engine.target import Node, Target
from engine.topology import CLIENTS

PLAIN = Node("n1", "127.0.0.1:7001")
PROXIED = Node("n2", "127.0.0.1:7002", upstream="127.0.0.1:17002")
THREE = Target("s", (PLAIN, PROXIED, Node("n3", "127.0.0.1:7003")))


def test_every_link_is_there_once_and_each_way_for_itself() -> None:
    found = rows(THREE, frozenset({("n1", "n2")}))
    assert [(row.one, row.other) for row in found] == [
        (CLIENTS, "n1"), (CLIENTS, "n2"), (CLIENTS, "n3"), ("n1", "n2"), ("n1", "n3"), ("n2", "n3"),
    ]  # fmt: skip
    assert [(row.cut_there, row.cut_back) for row in found if row.cut_there or row.cut_back] == [
        (True, False)
    ]
    assert len(ways(THREE)) == 12


def test_what_clients_send_to_a_node_with_an_upstream_can_be_cut_by_the_link_proxy() -> None:
    found = ways(THREE)
    assert found[CLIENTS, "n2"].by == found["n2", CLIENTS].by == "link proxy of n2"


def test_what_nothing_can_cut_says_why() -> None:
    found = ways(THREE)
    assert found[CLIENTS, "n1"].by == "" != found[CLIENTS, "n1"].why
    assert "upstream" in found[CLIENTS, "n1"].why
    assert found["n1", "n2"].by == "" != found["n1", "n2"].why


def told(fault: Partition, leader: str | None = None) -> tuple[list[str], str]:
    cuts, open = preview(fault, THREE, leader)
    return [cut.text() for cut in cuts], open


def test_a_preview_names_each_link_that_would_be_cut_and_what_is_still_open() -> None:
    assert told(Partition(links=["n1 -> n2", "n3 <-> n1, clients"])) == (
        ["clients ↔ n3", "n1 → n2", "n1 ↔ n3"], "",
    )  # fmt: skip
    assert told(Partition(topology="leader-alone"), "n3") == (
        ["n1 ↔ n3", "n2 ↔ n3"], "drawn for n3 as the leader",
    )  # fmt: skip
    assert told(Partition(topology="leader-alone"))[1] == "drawn as if the first node led"
    assert "one way it may fall" in told(Partition(topology="halves"))[1]
    assert told(Partition(nodes=["n2"], between="all")) == (["clients ↔ n2", "n1 ↔ n2", "n2 ↔ n3"], "")
    assert preview(Kill(), THREE, None) == ((), "")


def test_a_preview_says_what_cuts_each_link_or_why_nothing_does() -> None:
    [cut] = preview(Partition(nodes=["n2"]), THREE, None)[0]
    assert cut.to_dict() == {
        "from": "clients", "to": "n2", "both": True, "by": "link proxy of n2", "text": "clients ↔ n2",
    }  # fmt: skip
    [cut] = preview(Partition(nodes=["n2"], answer="reset"), THREE, None)[0]
    assert cut.by.startswith(
        "nothing: Single ports of n2 are cut, and what is cut is answered, only by the kernel"
    )


def test_the_dry_run_prints_the_links_one_by_one(tmp_path: Path) -> None:
    document = {
        "name": "x", "target": "s", "targets": [THREE.to_dict()],
        "steady_state": [{"probe": {"tcp": {}}, "every": "1s", "tolerance": {"availability": ">= 1%"}}],
        "faults": [{"at": "0s", "for": "1s", "partition": {"links": ["clients -> n2"]}}],
    }  # fmt: skip
    (tmp_path / "one.yaml").write_text(json.dumps(document))
    done = subprocess.run(
        [sys.executable, "-m", "engine", "run", str(tmp_path / "one.yaml"), "--dry-run"],
        capture_output=True, text=True, check=False, env={**os.environ, "CHAOSBOARD_STATE": str(tmp_path)},
    )  # fmt: skip
    lines = [line.strip() for line in done.stdout.splitlines()]
    at = lines.index("10.0 s    cut clients → n2, healed at 11.0 s")
    assert lines[at + 1] == "clients → n2, by link proxy of n2"
