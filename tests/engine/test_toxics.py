"""Every toxic does what Toxiproxy's documentation says, measured on real sockets, on live connections too."""

import select
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest

from tests.proxies import Proxy, running, serve
from tests.waiting import until

KB = 1000


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with running(tmp_path_factory.mktemp("proxy")) as found:
        yield found


class Echo:
    """A proxy called `it` in front of a server that answers with what it hears."""

    def __init__(self, api: httpx.Client, upstream: int) -> None:
        self.api = api
        body = {"name": "it", "listen": "127.0.0.1:0", "upstream": f"127.0.0.1:{upstream}"}
        host, _, port = api.post("/proxies", json=body).json()["listen"].rpartition(":")
        self.address = (host, int(port))

    def add(self, type: str, stream: str = "downstream", toxicity: float = 1.0, **attributes: Any) -> None:
        body = {"type": type, "stream": stream, "toxicity": toxicity, "attributes": attributes}
        answer = self.api.post("/proxies/it/toxics", json=body)
        assert answer.status_code == 200, answer.text

    def update(self, name: str, **attributes: Any) -> None:
        answer = self.api.post(f"/proxies/it/toxics/{name}", json={"attributes": attributes})
        assert answer.status_code == 200, answer.text

    def remove(self, name: str) -> None:
        assert self.api.delete(f"/proxies/it/toxics/{name}").status_code == 204

    def connect(self) -> socket.socket:
        return socket.create_connection(self.address, timeout=10)


@pytest.fixture
def echo(proxy: Proxy) -> Iterator[Echo]:
    def talk(one: socket.socket) -> None:
        while data := one.recv(65536):
            one.sendall(data)

    with serve(talk) as upstream, httpx.Client(base_url=f"http://{proxy.api}", trust_env=False) as api:
        yield Echo(api, upstream)
        api.delete("/proxies/it")


def exactly(one: socket.socket, size: int) -> bytes:
    found = bytearray()
    while len(found) < size:
        data = one.recv(size - len(found))
        assert data, f"ended after {len(found)} bytes"
        found += data
    return bytes(found)


def round_trip(one: socket.socket, data: bytes = b"hello") -> float:
    start = time.monotonic()
    one.sendall(data)
    assert exactly(one, len(data)) == data
    return time.monotonic() - start


def silent(one: socket.socket, seconds: float = 0.2) -> bool:
    one.settimeout(seconds)
    try:
        return one.recv(1) is None
    except TimeoutError:
        return True
    finally:
        one.settimeout(10)


@pytest.mark.parametrize("stream", ["upstream", "downstream"])
def test_latency_delays_live_connections_until_it_is_removed(echo: Echo, stream: str) -> None:
    with echo.connect() as one:
        round_trip(one)
        echo.add("latency", stream, latency=100)
        assert 0.1 <= round_trip(one) < 0.5
        echo.update(f"latency_{stream}", latency=20)
        assert 0.02 <= round_trip(one) < 0.1
        echo.update(f"latency_{stream}", latency=60_000)
        one.sendall(b"waits")
        assert silent(one)
        echo.remove(f"latency_{stream}")
        assert exactly(one, 5) == b"waits"


def test_latencies_add_up(echo: Echo) -> None:
    echo.add("latency", "upstream", latency=50)
    echo.add("latency", "downstream", latency=50)
    with echo.connect() as one:
        assert round_trip(one) >= 0.1


@pytest.mark.parametrize("distribution", ["uniform", "normal", "pareto"])
def test_jitter_varies_the_delay_and_keeps_the_order(echo: Echo, distribution: str) -> None:
    echo.add("latency", latency=20, jitter=10, distribution=distribution)
    with echo.connect() as one:
        times = [round_trip(one) for _ in range(15)]
        assert max(times) - min(times) > 0.002
        for number in range(100):
            one.sendall(bytes([number]))
        assert exactly(one, 100) == bytes(range(100))


def test_bandwidth_limits_a_connection(echo: Echo) -> None:
    echo.add("bandwidth", rate=500)
    with echo.connect() as one, echo.connect() as two:
        start = time.monotonic()
        one.sendall(b"x" * 150 * KB)
        two.sendall(b"x" * 150 * KB)
        exactly(one, 150 * KB)
        exactly(two, 150 * KB)
        assert 0.29 <= time.monotonic() - start < 0.6  # each has the rate for itself


def test_a_bandwidth_that_is_removed_gives_on_what_waits(echo: Echo) -> None:
    echo.add("bandwidth", rate=1)
    data = bytes(range(256)) * 400
    with echo.connect() as one:
        one.sendall(data)
        assert exactly(one, 1) == data[:1]
        echo.remove("bandwidth_downstream")
        assert exactly(one, len(data) - 1) == data[1:]


def test_slow_close_delays_the_end_and_nothing_else(echo: Echo) -> None:
    echo.add("slow_close", delay=300)
    with echo.connect() as one:
        assert round_trip(one) < 0.25
        start = time.monotonic()
        one.shutdown(socket.SHUT_WR)
        assert one.recv(1) == b""
        assert time.monotonic() - start >= 0.3


def test_timeout_drops_everything_and_closes_after_its_time(echo: Echo) -> None:
    with echo.connect() as one:
        round_trip(one)
        start = time.monotonic()
        echo.add("timeout", "upstream", timeout=300)
        one.sendall(b"lost")
        assert one.recv(1) == b""
        assert 0.3 <= time.monotonic() - start < 2


def test_timeout_of_zero_drops_until_it_is_removed(echo: Echo) -> None:
    echo.add("timeout", timeout=0)
    with echo.connect() as one:
        one.sendall(b"lost")
        assert silent(one, 0.4)
        echo.remove("timeout_downstream")
        round_trip(one)


@pytest.mark.parametrize("stream", ["upstream", "downstream"])
@pytest.mark.parametrize("timeout", [0, 300])
def test_reset_peer_resets_live_and_new_connections(echo: Echo, stream: str, timeout: int) -> None:
    with echo.connect() as live:
        round_trip(live)
        start = time.monotonic()
        echo.add("reset_peer", stream, timeout=timeout)
        with pytest.raises(ConnectionResetError), echo.connect() as new:  # it may be reset while it connects
            round_trip(new)
        with pytest.raises(ConnectionResetError):
            round_trip(live)
        assert time.monotonic() - start >= timeout / 1000


def test_slicer_slices_what_comes(echo: Echo) -> None:
    echo.add("slicer", average_size=100, size_variation=20, delay=5000)
    data = bytes(range(250)) * 4
    with echo.connect() as one:
        start, sizes = time.monotonic(), []
        one.sendall(data)
        found = b""
        while len(found) < len(data):
            piece = one.recv(65536)
            sizes.append(len(piece))
            found += piece
        assert found == data
        assert time.monotonic() - start >= 0.035
        assert len(sizes) > 3
        assert all(size >= 80 for size in sizes[:-1])


@pytest.mark.parametrize("size", [100, 150_000])
def test_limit_data_closes_the_connection_at_its_limit(echo: Echo, size: int) -> None:
    with echo.connect() as one:
        round_trip(one)  # what passed before does not count
        echo.add("limit_data", bytes=size)
        one.sendall(b"x" * (size - 1))
        exactly(one, size - 1)
        echo.update("limit_data_downstream", bytes=size)  # what it has counted stays
        one.sendall(b"yz")
        assert one.recv(10) == b"y"
        assert one.recv(10) == b""


@pytest.mark.parametrize(("toxicity", "least", "most"), [(0.0, 0, 0), (0.5, 8, 32), (1.0, 40, 40)])
def test_toxicity_is_the_share_of_connections(echo: Echo, toxicity: float, least: int, most: int) -> None:
    """Of live ones and of new ones alike. The toxic here lets nothing pass."""
    connections = [echo.connect() for _ in range(20)]
    for one in connections:
        round_trip(one)
    echo.add("timeout", toxicity=toxicity)
    connections += [echo.connect() for _ in range(20)]
    for one in connections:
        one.sendall(b"x")
    until(lambda: len(select.select(connections, [], [], 0.2)[0]) >= 40 - most, timeout=5)
    hit = 40 - len(select.select(connections, [], [], 0)[0])
    for one in connections:
        one.close()
    assert least <= hit <= most


def test_a_cut_loses_nothing_and_keeps_the_connection(echo: Echo) -> None:
    data = bytes(range(256)) * 40_000
    with echo.connect() as one:
        round_trip(one)
        echo.add("cut", "downstream")
        one.sendall(data[:50_000])
        assert silent(one)
        echo.remove("cut_downstream")
        assert exactly(one, 50_000) == data[:50_000]
        round_trip(one)


def test_lost_connections_are_a_share_of_all(echo: Echo) -> None:
    live = [echo.connect() for _ in range(40)]
    for one in live:
        round_trip(one)
    echo.add("loss", share=0.5)

    def lost(one: socket.socket) -> bool:
        try:
            round_trip(one)
        except (OSError, AssertionError):
            return True
        finally:
            one.close()
        return False

    assert 5 <= sum(map(lost, live)) <= 35
    assert 5 <= sum(lost(echo.connect()) for _ in range(40)) <= 35


def test_corruption_flips_one_bit_of_what_it_hits(echo: Echo) -> None:
    with echo.connect() as one:
        echo.add("corrupt", share=1.0)
        one.sendall(bytes(1000))
        found = exactly(one, 1000)
        assert sum(byte.bit_count() for byte in found) == 1
        echo.update("corrupt_downstream", share=0.0)
        round_trip(one)


def test_faults_leave_nothing_open(echo: Echo, proxy: Proxy) -> None:
    for type, attributes in (("latency", {"latency": 1}), ("timeout", {"timeout": 50}), ("loss", {})):
        echo.add(type, **attributes)
        for _ in range(10):
            with suppress(ConnectionError), echo.connect() as one:  # where it is lost, it may be so at once
                one.sendall(b"x")
        echo.remove(f"{type}_downstream")
    until(lambda: proxy.open() == 1, timeout=5)  # that of this test to the API
