"""The lab driver on a real etcd of three nodes, each in its own namespace."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from engine import undo
from engine.capabilities import Filter, Packets, Shaping
from engine.drivers import REGISTRY, control, having
from engine.errors import BadInput, Refused, Unreachable
from engine.faults.kill import Kill
from engine.faults.partition import Partition
from engine.lab import labs
from engine.lab.programs import ETCD
from engine.lab.records import Record
from engine.parameters import build
from engine.target import Node, Target
from tests.engine.labs import may, missing
from tests.waiting import until

pytestmark = pytest.mark.systems


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Record]:
    if os.geteuid() != 0:
        pytest.skip("without root the nodes cannot be reached from here, only inside the lab")
    may(True)
    if not ETCD.find():
        missing(f"there is no etcd: {ETCD.remedy}")
    state = tmp_path_factory.mktemp("lab")
    found, keeper = labs.up(state, "etcd", {"etcd": {}}, ["n1", "n2", "n3"], with_root=True, leash=True)
    yield found
    assert keeper.stdin
    keeper.stdin.close()
    keeper.wait(timeout=20)


@pytest.fixture
def nodes(record: Record, monkeypatch: pytest.MonkeyPatch) -> tuple[Node, ...]:
    monkeypatch.setenv("CHAOSBOARD_STATE", str(Path(record.folder).parents[1]))
    return Target.from_dict(record.documents[0]).nodes


def ask(node: Node, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Its answer; empty where it gives none in time."""
    try:
        answer = httpx.post(f"http://{node.address}{path}", json=body, timeout=2.0, trust_env=False)
    except httpx.HTTPError:
        return {}
    return dict(answer.json()) if answer.status_code == 200 else {}


def reads(node: Node) -> bool:
    """Whether it answers a linearizable read, for which it needs a majority."""
    return bool(ask(node, "/v3/kv/range", {"key": "YQ=="}))


def reached(node: Node) -> bool:
    return bool(ask(node, "/v3/maintenance/status", {}))


def network_of(node: Node) -> str:
    return os.readlink(f"/proc/{_driver(node).find(node)}/ns/net")


def _driver(node: Node) -> Any:
    return control(node)


def cut(nodes: tuple[Node, ...], how: dict[str, Any]) -> Any:
    """What n1 exchanges; the driver and what it captured."""
    name, driver = having(nodes[0], Packets)
    assert name == "lab"
    captured = driver.capture_packets(nodes[0], nodes[1:])
    driver.disturb_packets(captured, "m", {"cut": True, **how}, time.time() + 60)
    return driver, captured


def heal(driver: Any, captured: Any) -> None:
    assert driver.undisturbed(captured, "m").gone is False
    for _ in range(2):
        driver.undisturb_packets(captured, "m")
        assert driver.undisturbed(captured, "m").gone is True


def test_a_node_that_was_killed_is_started_again_where_it_was(
    record: Record, nodes: tuple[Node, ...]
) -> None:
    node, state = nodes[1], Path(os.environ["CHAOSBOARD_STATE"])
    home, killed = network_of(node), _driver(node).find(node)
    assert home == f"net:[{record.networks['n2']}]"
    injected = undo.inject(state, undo.prepare(state, "r", "f0", "kill", Kill(signal="KILL"), node, 60))
    until(lambda: not psutil.pid_exists(killed) or psutil.Process(killed).status() == psutil.STATUS_ZOMBIE)
    healed = undo.heal(state, injected.id)
    assert healed
    assert healed.state == "clean", healed.text
    assert network_of(node) == home
    until(lambda: reads(node))


def test_a_node_that_is_cut_off_from_its_peers_has_no_majority_and_is_still_reached(
    nodes: tuple[Node, ...],
) -> None:
    driver, captured = cut(nodes, {"between": "peers"})
    until(lambda: not reads(nodes[0]))
    assert reached(nodes[0])
    until(lambda: reads(nodes[1]) and reads(nodes[2]))
    heal(driver, captured)
    until(lambda: all(map(reads, nodes)))


def test_a_node_that_is_cut_off_from_its_clients_still_has_its_peers(nodes: tuple[Node, ...]) -> None:
    until(lambda: all(map(reads, nodes)))
    driver, captured = cut(nodes, {"between": "clients"})
    assert not reached(nodes[0])
    assert reached(nodes[1])
    members = ask(nodes[1], "/v3/cluster/member/list", {})
    assert len(members["members"]) == 3
    heal(driver, captured)
    until(lambda: reads(nodes[0]))


def test_a_single_port_is_cut_by_the_kernel_inside_the_lab(nodes: tuple[Node, ...]) -> None:
    state, fault = Path(os.environ["CHAOSBOARD_STATE"]), Partition(["n1"], between="peers", ports=["2380"])
    assert having(nodes[0], Filter)[0] == "kernel"
    injected = undo.inject(
        state, undo.prepare(state, "r", "f0", "partition", fault, nodes[0], 60, peers=nodes[1:])
    )
    until(lambda: not reads(nodes[0]))
    assert reached(nodes[0])
    assert reads(nodes[1])
    healed = undo.heal(state, injected.id)
    assert healed
    assert healed.text == "the kernel has no rule of it any more"
    until(lambda: reads(nodes[0]))


def test_delays_and_other_changes_of_packets_are_offered_too(nodes: tuple[Node, ...]) -> None:
    until(lambda: reads(nodes[0]))
    name, driver = having(nodes[0], Shaping)
    assert name == "lab"
    captured = driver.capture_packets(nodes[0], nodes[1:])
    driver.disturb_packets(captured, "m", {"latency": 0.05, "between": "all"}, time.time() + 60)
    began = time.monotonic()
    assert reached(nodes[0])
    assert time.monotonic() - began >= 0.2  # the handshake, then the request: four ways
    heal(driver, captured)


def test_a_node_elsewhere_is_refused_in_words(nodes: tuple[Node, ...]) -> None:
    elsewhere = Node("far", "192.0.2.1:2379")
    with pytest.raises(Refused, match=r"far is not in the lab etcd: 192\.0\.2\.1 is not on 10\."):
        _driver(nodes[0]).capture_packets(nodes[0], [elsewhere])
    stranger = Node("far", "192.0.2.1:2379", control="lab", control_params=nodes[0].control_params)
    assert "is not a node of the lab etcd" in _driver(stranger).refusal(stranger)


def test_a_lab_that_is_not_up_is_told_and_what_was_disturbed_there_is_gone(
    nodes: tuple[Node, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    driver = _driver(nodes[0])
    captured = driver.capture_packets(nodes[0], nodes[1:])
    monkeypatch.setenv("CHAOSBOARD_STATE", str(tmp_path))
    with pytest.raises(Unreachable, match="no lab called 'etcd'"):
        driver.capture_packets(nodes[0], nodes[1:])
    captured = {**captured, "keeper": {"pid": captured["keeper"]["pid"], "started": 1}, "switch": "/nowhere"}
    driver.undisturb_packets(captured, "m")
    assert driver.undisturbed(captured, "m").gone is True


def test_a_node_whose_lab_is_not_named_is_bad_input() -> None:
    with pytest.raises(BadInput, match="which lab it belongs to"):
        build(REGISTRY.get("lab"), {"port": 2379}, "driver")
