"""Datagrams through the link proxy: whole, late, or lost."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpx
import pytest

from tests.proxies import Proxy, running
from tests.waiting import until


@contextmanager
def echo() -> Iterator[int]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(0.2)
        ended = threading.Event()

        def serve() -> None:
            while not ended.is_set():
                with suppress(TimeoutError):
                    data, client = server.recvfrom(65536)
                    server.sendto(data, client)

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
def api(proxy: Proxy) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://{proxy.api}", trust_env=False) as api, echo() as upstream:
        body = {"name": "it", "protocol": "udp", "upstream": f"127.0.0.1:{upstream}", "listen": "127.0.0.1:0"}
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
    one.send(data)
    return one.recv(65536)


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


def test_a_share_of_datagrams_is_lost(api: httpx.Client) -> None:
    add(api, "loss", share=0.5)
    with client(api) as one:
        for number in range(100):
            one.send(bytes([number]))
        found: set[bytes] = set()
        one.settimeout(0.5)
        with suppress(TimeoutError):
            while True:
                found.add(one.recv(10))
    assert 20 <= len(found) <= 80


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
