"""Datagrams through the link proxy: by Toxiproxy's API, and as the link of a node, end to end, before a real name
server that is hurt and looked at."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from dns import message, rrset

from chaosboard import ports
from engine import drivers, faults, runner
from engine.drivers.link import Link
from engine.errors import BadInput, EngineError, Refused
from engine.experiment import Experiment
from engine.probes.dns import Dns
from engine.target import Node, Target
from tests.engine.test_probes import look
from tests.proxies import Proxy, running
from tests.waiting import until


def answer_to(query: bytes) -> bytes:
    asked = message.from_wire(query)
    answer = message.make_response(asked)
    answer.answer.append(rrset.from_text(asked.question[0].name, 1, "IN", "A", "127.0.0.9"))
    return answer.to_wire()


@pytest.fixture
def name_server() -> Iterator[int]:
    """Knows every name; what begins with `echo` it sends back as it is."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(0.2)
        ended = threading.Event()

        def serve() -> None:
            while not ended.is_set():
                with suppress(TimeoutError):
                    data, client = server.recvfrom(65536)
                    server.sendto(data if data.startswith(b"echo") else answer_to(data), client)

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        ended.set()
        thread.join()


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with running(tmp_path_factory.mktemp("proxy")) as found:
        yield found


@pytest.fixture
def api(proxy: Proxy, name_server: int) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://{proxy.api}", trust_env=False) as api:
        body = {
            "name": "it",
            "protocol": "udp",
            "upstream": f"127.0.0.1:{name_server}",
            "listen": "127.0.0.1:0",
        }
        assert api.post("/proxies", json=body).json()["protocol"] == "udp"
        yield api
        api.delete("/proxies/it")


@contextmanager
def client(api: httpx.Client) -> Iterator[socket.socket]:
    host, _, port = api.get("/proxies/it").json()["listen"].rpartition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.connect((host, int(port)))
        one.settimeout(5)
        yield one


def add(api: httpx.Client, type: str, **attributes: Any) -> None:
    body = {"type": type, "name": type, "stream": "upstream", "attributes": attributes}
    assert api.post("/proxies/it/toxics", json=body).status_code == 200


def ask(one: socket.socket, data: bytes = b"hello") -> bytes:
    one.send(b"echo" + data)
    return one.recv(65536).removeprefix(b"echo")


def test_each_client_gets_its_own_answers_whole(api: httpx.Client) -> None:
    with client(api) as one, client(api) as two:
        assert ask(one, b"x" * 20_000) == b"x" * 20_000
        assert ask(two, b"two") == b"two"
        assert ask(one, b"one") == b"one"


def test_latency_delays_datagrams(api: httpx.Client) -> None:
    add(api, "latency", latency=100)
    with client(api) as one:
        start = time.monotonic()
        assert ask(one) == b"hello"
        assert time.monotonic() - start >= 0.1


@pytest.mark.parametrize(("type", "attributes"), [("cut", {}), ("timeout", {}), ("loss", {"share": 1.0})])
def test_what_is_cut_off_is_lost(api: httpx.Client, type: str, attributes: dict[str, Any]) -> None:
    with client(api) as one:
        ask(one)
        add(api, type, **attributes)
        one.settimeout(0.3)
        with pytest.raises(TimeoutError):
            ask(one, b"lost")
        one.settimeout(5)
        api.delete(f"/proxies/it/toxics/{type}")
        assert ask(one, b"passes") == b"passes"


def test_bandwidth_passes_datagrams_whole(api: httpx.Client) -> None:
    add(api, "bandwidth", rate=100)
    with client(api) as one:
        start = time.monotonic()
        assert ask(one, b"x" * 10_000) == b"x" * 10_000
        assert time.monotonic() - start >= 0.1


def test_a_disabled_proxy_takes_no_datagrams(api: httpx.Client) -> None:
    with client(api) as one:
        ask(one)
        api.post("/proxies/it", json={"enabled": False})
        with pytest.raises(ConnectionRefusedError):
            ask(one)
        api.post("/proxies/it", json={"enabled": True})
        until(lambda: ask(one) == b"hello")


@pytest.fixture
def node(proxy: Proxy, name_server: int, monkeypatch: pytest.MonkeyPatch) -> Node:
    monkeypatch.setenv("CHAOSBOARD_STATE", str(proxy.folder))
    return Node("one", f"127.0.0.1:{ports.choose(1)[0]}", upstream=f"udp://127.0.0.1:{name_server}")


def perform(folder: Path, node: Node, **fault: Any) -> dict[str, Any]:
    one = Experiment.from_dict(
        {
            "name": "the link is hurt",
            "targets": [{"name": "names", "kind": "dns", "nodes": [node.to_dict()]}],
            "steady_state": [{"probe": "dns", "every": "50ms", "timeout": "500ms",
                              "tolerance": {"availability": ">= 95%"}}],
            "baseline": "1s",
            "faults": [{"at": "0s", "for": "1500ms", **fault}],
            "recovery": {"timeout": "20s", "stable": "500ms"},
        }
    )  # fmt: skip
    return runner.run(
        one, one.targets[0], directory=folder / next(iter(fault)), state=folder, emit=lambda events: None,
        stop=lambda: "", run_id=next(iter(fault)),
    )  # fmt: skip


def test_a_delayed_name_server_is_as_much_slower_as_was_said(proxy: Proxy, node: Node) -> None:
    result = perform(proxy.folder, node, latency={"nodes": ["one"], "delay": "100ms"})
    _, during, after = result["phases_measured"]
    assert result["verdict"] == "held", result["headline"]
    assert during["p50"] >= 0.2
    assert after["p50"] < 0.2
    assert result["clean"]


def test_a_name_server_that_is_cut_off_is_an_outage_that_ends_with_it(proxy: Proxy, node: Node) -> None:
    result = perform(proxy.folder, node, partition={"nodes": ["one"]})
    assert result["verdict"] == "held", result["headline"]
    assert result["phases_measured"][1]["availability"] < 0.2
    assert "nothing of it is left on the link" in result["clean_text"]


def sent_through(node: Node, count: int) -> list[int]:
    """The numbers that come back, in the order in which they come."""
    found: list[int] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.connect((node.host, node.port))
        for number in range(count):
            one.send(b"echo%d" % number)
            if number % 20 == 19:
                time.sleep(0.005)  # less at once than a socket holds
        one.settimeout(0.5)
        with suppress(TimeoutError):
            while True:
                found.append(int(one.recv(100)[4:]))
    return found


@pytest.mark.parametrize(
    ("name", "params", "least", "most"),
    [("loss", {"share": 0.5}, 3, 40), ("duplicate", {"share": 0.5}, 120, 240),
     ("reorder", {"share": 0.3, "delay": 0.05}, 80, 80)],
)  # fmt: skip
def test_datagrams_are_lost_doubled_or_overtaken(
    node: Node, name: str, params: dict[str, Any], least: int, most: int
) -> None:
    """Both ways: half of a half is a quarter, and one and a half of one and a half is 2.25."""
    fault: Any = faults.REGISTRY.get(name)(**params)
    driver = drivers.having(node, fault.needs)[1]
    fault.inject(driver, node, fault.capture(driver, node), "mark", time.time() + 60)
    found = sent_through(node, 80)
    if name != "loss":
        assert set(found) == set(range(80))
    assert (found != sorted(found)) is (name == "reorder")
    assert least <= len(found) <= most
    fault.heal(driver, node, {}, "mark")
    assert fault.read_back(driver, node, {}, "mark").gone is True
    assert sent_through(node, 50) == list(range(50))


@pytest.mark.parametrize("name", ["reset", "slow-close", "limit-data", "slicer", "http-abort", "grpc-abort"])
def test_what_only_connections_can_suffer_is_refused(node: Node, name: str) -> None:
    fault: Any = faults.REGISTRY.get(name)()
    with pytest.raises(Refused, match="reached by UDP"):
        fault.capture(Link(), node)


@pytest.mark.parametrize("name", ["duplicate", "reorder"])
def test_what_only_datagrams_can_suffer_is_refused_too(name: str) -> None:
    fault: Any = faults.REGISTRY.get(name)()
    with pytest.raises(Refused, match="reached by TCP"):
        fault.capture(Link(), Node("one", "127.0.0.1:1", upstream="127.0.0.1:2"))


def test_an_address_that_is_taken_is_refused(node: Node) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind((node.host, node.port))
        with pytest.raises(Refused, match="address already in use"):
            Link().prepare(node)


def test_a_link_is_of_one_protocol_and_opened_again_as_it_was(node: Node, proxy: Proxy) -> None:
    Link().prepare(node)
    with pytest.raises(EngineError, match="is a link of udp already"):
        proxy.order("open", node.address, upstream="127.0.0.1:1")
    assert proxy.order("hello", "")["links"][node.address] == node.upstream
    assert json.loads((proxy.folder / "links.json").read_text())[node.address] == node.upstream


def test_only_an_upstream_says_udp() -> None:
    good = Target.from_dict({"name": "x", "nodes": [{"address": "a:1", "upstream": "udp://a:2"}]})
    assert (good.nodes[0].protocol, good.nodes[0].own_address) == ("udp", "a:2")
    with pytest.raises(BadInput):
        Target.from_dict({"name": "x", "nodes": [{"address": "udp://a:1"}]})


async def test_the_probe_tells_an_answer_from_one_that_finds_nothing(name_server: int) -> None:
    where = f"127.0.0.1:{name_server}"
    assert (await look(Dns(name="a.test", good="found"), where)).ok
    assert (await look(Dns(name="a.test", type="NS"), where)).ok


def test_a_link_of_udp_ends_with_its_lease(node: Node) -> None:
    fault: Any = faults.REGISTRY.get("partition")()
    fault.inject(Link(), node, fault.capture(Link(), node), "mark", time.time() + 0.2)
    until(lambda: fault.read_back(Link(), node, {}, "mark").gone, timeout=5)
    assert sent_through(node, 5) == list(range(5))
