"""Toxiproxy's own clients, as they are published, drive the link proxy through every call they have."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from toxiproxy import Toxiproxy
from toxiproxy.exceptions import InvalidToxic, NotFound, ProxyExists

from tests.proxies import Proxy, running, serve

CLIENTS = Path(__file__).resolve().parents[1] / "clients"


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with running(tmp_path_factory.mktemp("proxy")) as found:
        yield found


@pytest.fixture
def upstream() -> Iterator[str]:
    def echo(one: socket.socket) -> None:
        while data := one.recv(65536):
            one.sendall(data)

    with serve(echo) as port:
        yield f"127.0.0.1:{port}"


@pytest.fixture
def server(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> Iterator[Toxiproxy]:
    monkeypatch.setenv("NO_PROXY", "*")
    server = Toxiproxy()
    server.update_api_consumer("127.0.0.1", int(proxy.api.rpartition(":")[2]))
    yield server
    server.destroy_all()


def round_trip(listen: str) -> float:
    host, _, port = listen.rpartition(":")
    start = time.monotonic()
    with socket.create_connection((host, int(port)), timeout=10) as one:
        one.sendall(b"hello")
        assert one.recv(5) == b"hello"
    return time.monotonic() - start


def test_toxiproxy_python_manages_proxies(server: Toxiproxy, upstream: str) -> None:
    assert server.running()
    assert b'"version"' in server.version()
    assert server.proxies() == {}
    made = server.create(upstream=upstream, name="one")
    assert (made.name, made.upstream, made.enabled) == ("one", upstream, True)
    round_trip(made.listen)
    with pytest.raises(ProxyExists):
        server.create(upstream=upstream, name="one")
    assert server.get_proxy("one").listen == made.listen
    assert server.get_proxy("none") is None
    assert server.destroy(made)
    with pytest.raises(NotFound):
        made.destroy()
    populated = server.populate(
        [
            {"name": "a", "upstream": upstream, "listen": "127.0.0.1:0"},
            {"name": "b", "upstream": upstream, "listen": "127.0.0.1:0"},
        ]
    )
    assert [one.name for one in populated] == ["a", "b"]
    server.destroy_all()
    assert server.proxies() == {}


def test_toxiproxy_python_takes_a_proxy_down(server: Toxiproxy, upstream: str) -> None:
    made = server.create(upstream=upstream, name="one")
    with made.down(), pytest.raises(ConnectionRefusedError):
        round_trip(made.listen)
    round_trip(made.listen)
    made.disable()
    assert server.get_proxy("one").enabled is False
    assert server.reset()
    assert server.get_proxy("one").enabled is True
    made.enable()


def test_toxiproxy_python_manages_toxics(server: Toxiproxy, upstream: str) -> None:
    made = server.create(upstream=upstream, name="one")
    made.add_toxic(type="latency", attributes={"latency": 100, "jitter": 0})
    assert round_trip(made.listen) >= 0.1
    found = made.get_toxic("latency_downstream")
    assert (found.type, found.stream, found.toxicity) == ("latency", "downstream", 1)
    assert found.attributes == {"latency": 100, "jitter": 0}
    made.add_toxic(type="timeout", stream="upstream", name="hole", toxicity=0.5, attributes={"timeout": 9})
    assert set(made.toxics()) == {"latency_downstream", "hole"}
    with pytest.raises(ProxyExists):
        made.add_toxic(type="latency")
    with pytest.raises(InvalidToxic):
        made.add_toxic(type="no such")
    assert made.destroy_toxic("hole")
    with pytest.raises(NotFound):
        made.destroy_toxic("hole")
    server.reset()
    assert made.toxics() == {}
    assert made.get_toxic("hole") is None


def test_toxiproxy_node_client_makes_every_call(proxy: Proxy, upstream: str) -> None:
    node = shutil.which("node")
    if node is None or not (CLIENTS / "node_modules").exists():
        message = "node or its client is missing: install node and npm, and run make test"
        pytest.fail(message) if os.environ.get("CI") == "true" and node else pytest.skip(message)
    command = [node, str(CLIENTS / "drive.js"), f"http://{proxy.api}", upstream]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout == "every call was answered\n", done.stderr
