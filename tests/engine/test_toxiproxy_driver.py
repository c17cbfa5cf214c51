"""A Toxiproxy server as a driver. The server here is our own, which speaks the same API: Toxiproxy itself is
in none of the package registries that the tests install from."""

import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from chaosboard import ports
from engine import drivers, faults, runner, undo
from engine.drivers.toxiproxy import Toxiproxy
from engine.errors import Refused, Unreachable
from engine.experiment import Experiment
from engine.target import Node
from tests.proxies import Proxy, running, serve


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with running(tmp_path_factory.mktemp("toxiproxy")) as found:
        yield found


@pytest.fixture
def api(server: Proxy) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://{server.api}", trust_env=False) as client:
        yield client


@pytest.fixture
def node(api: httpx.Client, server: Proxy) -> Iterator[Node]:
    def echo(one: socket.socket) -> None:
        while data := one.recv(65536):
            one.sendall(data)

    with serve(echo) as upstream:
        listen = f"127.0.0.1:{ports.choose(1)[0]}"
        body = {"name": "the orders", "listen": listen, "upstream": f"127.0.0.1:{upstream}"}
        assert api.post("/proxies", json=body).status_code == 201
        told = {"api": server.api, "proxy": "the orders"}
        yield Node("one", listen, control="toxiproxy", control_params=told)
        with suppress(httpx.HTTPError):
            api.delete("/proxies/the%20orders")


def toxics(api: httpx.Client) -> list[dict[str, Any]]:
    return api.get("/proxies/the%20orders/toxics").json()


def driver_of(node: Node) -> Toxiproxy:
    found = drivers.control(node)
    assert isinstance(found, Toxiproxy)
    return found


def inject(node: Node, name: str, **params: Any) -> Any:
    fault: Any = faults.REGISTRY.get(name)(**params)
    driver = driver_of(node)
    fault.inject(driver, node, fault.capture(driver, node), "m1", time.time() + 60)
    return fault


@pytest.mark.parametrize(
    ("name", "params", "wanted"),
    [
        ("latency", {"delay": 0.1, "jitter": 0.02},
         [("latency", s, 1, {"latency": 100, "jitter": 20}) for s in ("upstream", "downstream")]),
        ("partition", {"direction": "to-node"}, [("timeout", "upstream", 1, {"timeout": 0})]),
        ("loss", {"share": 0.25}, [("reset_peer", "upstream", 0.25, {"timeout": 0})]),
        ("bandwidth", {"rate": 50_000.0},
         [("bandwidth", s, 1, {"rate": 50}) for s in ("upstream", "downstream")]),
        ("reset", {"after": 0.2}, [("reset_peer", "upstream", 1, {"timeout": 200})]),
    ],
)  # fmt: skip
def test_faults_become_toxics_of_ours_and_are_healed_twice(
    api: httpx.Client, node: Node, name: str, params: dict[str, Any], wanted: list[Any]
) -> None:
    fault, driver = inject(node, name, **params), driver_of(node)
    found = toxics(api)
    assert [(t["type"], t["stream"], t["toxicity"], t["attributes"]) for t in found] == wanted
    assert all(one["name"].startswith("chaosboard-m1_") for one in found)
    assert fault.read_back(driver, node, {}, "m1").gone is False
    for _ in range(2):
        fault.heal(driver, node, {}, "m1")
        assert fault.read_back(driver, node, {}, "m1").gone is True
    assert toxics(api) == []


def test_toxics_of_others_are_in_the_way_and_never_removed(api: httpx.Client, node: Node) -> None:
    fault = inject(node, "latency")
    assert api.post("/proxies/the%20orders/toxics", json={"type": "timeout", "name": "theirs"}).is_success
    with pytest.raises(Refused, match="not chaosboard's: theirs"):
        inject(node, "latency")
    fault.heal(driver_of(node), node, {}, "m1")
    assert [one["name"] for one in toxics(api)] == ["theirs"]


def test_a_proxy_that_is_disabled_or_not_there_is_refused(api: httpx.Client, node: Node) -> None:
    assert driver_of(node).refusal(node) == ""
    assert driver_of(node).victim(node).startswith("the proxy the orders, 127.0.0.1:")
    api.post("/proxies/the%20orders", json={"enabled": False})
    with pytest.raises(Refused, match="is disabled"):
        inject(node, "latency")
    api.delete("/proxies/the%20orders")
    with pytest.raises(Refused, match="no proxy called the orders"):
        inject(node, "latency")


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("corrupt", {}),
        ("http-abort", {}),
        ("latency", {"distribution": "pareto"}),
        ("bandwidth", {"rate": 9.0}),
    ],
)
def test_what_toxiproxy_cannot_do_is_refused(
    api: httpx.Client, node: Node, name: str, params: dict[str, Any]
) -> None:
    with pytest.raises(Refused, match="Toxiproxy cannot do this to one"):
        inject(node, name, **params)
    assert toxics(api) == []


def test_where_the_server_does_not_answer_nobody_knows(node: Node) -> None:
    silent = Toxiproxy(proxy="the orders", api=f"127.0.0.1:{ports.choose(1)[0]}")
    assert silent.cleared(node, "m1").gone is None
    assert "does not answer" in silent.refusal(node)
    with pytest.raises(Unreachable):
        silent.clear(node, "m1")
    assert silent.victim(node) == ""


def test_a_run_delays_and_heals_through_it(
    tmp_path: Path, api: httpx.Client, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHAOSBOARD_STATE", str(tmp_path))
    one = Experiment.from_dict(
        {
            "name": "the link is cut", "targets": [{"name": "it", "kind": "tcp", "nodes": [node.to_dict()]}],
            "steady_state": [{"probe": "tcp", "every": "50ms", "timeout": "500ms"}],
            "baseline": "1s", "faults": [{"at": "0s", "for": "700ms", "latency": {}}],
            "recovery": {"timeout": "20s", "stable": "300ms"},
        }
    )  # fmt: skip
    result = runner.run(
        one, one.targets[0], directory=tmp_path / "run", state=tmp_path, emit=lambda events: None,
        stop=lambda: "", run_id="r1",
    )  # fmt: skip
    assert (result["verdict"], result["clean"]) == ("held", True), result["headline"]
    assert "nothing of it is left on the proxy the orders" in result["clean_text"]
    assert toxics(api) == []


def test_its_record_alone_heals_it(tmp_path: Path, api: httpx.Client, node: Node) -> None:
    record = undo.prepare(tmp_path, "r1", "f0", "latency", faults.REGISTRY.get("latency")(), node, 60)
    undo.inject(tmp_path, record)
    assert len(toxics(api)) == 2
    undo.heal_all(tmp_path)
    assert (toxics(api), undo.records(tmp_path)) == ([], [])
