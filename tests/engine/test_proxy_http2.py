"""Toxics that know HTTP/2 and gRPC: they hit single streams of a live connection, and no others."""

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc
import httpx
import pytest

from engine.proxy.http2.frames import Cutter
from engine.proxy.http2.streams import Streams
from tests.proxies import Proxy, running
from tests.waiting import until

LARGE = [("grpc.max_metadata_size", 1 << 20), ("grpc.absolute_max_metadata_size", 1 << 20)]
# gRPC's server ends calls as CANCELLED, at random, once more than a thousand of them wait for it.
PATIENT = [
    ("grpc.server.max_pending_requests", 1 << 20),
    ("grpc.server.max_pending_requests_hard_limit", 1 << 20),
]
CALL, OTHER = "/shop.Orders/Place", "/shop.Stock/Count"


class Handler(grpc.GenericRpcHandler):
    """Answers every call with its method and what was said; a call of many is answered piece by piece."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        method = details.method

        def one(request: bytes, context: grpc.ServicerContext) -> bytes:
            self.heard.append(method)
            return method.encode() + request

        def many(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
            self.heard.append(method)
            yield from requests

        if "Stream" in method:
            return grpc.stream_stream_rpc_method_handler(many)
        return grpc.unary_unary_rpc_method_handler(one)


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with running(tmp_path_factory.mktemp("proxy")) as found:
        yield found


@pytest.fixture
def handler() -> Handler:
    return Handler()


@pytest.fixture
def api(proxy: Proxy, handler: Handler) -> Iterator[httpx.Client]:
    server = grpc.server(futures.ThreadPoolExecutor(8), handlers=[handler], options=LARGE + PATIENT)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with httpx.Client(base_url=f"http://{proxy.api}", trust_env=False) as api:
        body = {"name": "it", "listen": "127.0.0.1:0", "upstream": f"127.0.0.1:{port}"}
        assert api.post("/proxies", json=body).status_code == 201
        yield api
        api.delete("/proxies/it")
    server.stop(0).wait()


@pytest.fixture
def channel(api: httpx.Client) -> Iterator[grpc.Channel]:
    options = [("grpc.enable_retries", 0), ("grpc.enable_http_proxy", 0), *LARGE]
    with grpc.insecure_channel(api.get("/proxies/it").json()["listen"], options=options) as channel:
        assert call(channel) == CALL.encode()  # it is live before it is hurt
        yield channel


def call(channel: grpc.Channel, method: str = CALL, request: bytes = b"", **more: Any) -> bytes:
    return channel.unary_unary(method)(request, timeout=10, **more)


def code(channel: grpc.Channel, method: str = CALL, request: bytes = b"") -> str:
    """How a call ends, by its name."""
    try:
        call(channel, method, request)
    except grpc.RpcError as error:
        return error.code().name
    return "OK"


def add(api: httpx.Client, type: str, **attributes: Any) -> None:
    body = {"type": type, "name": type, "stream": "upstream", "attributes": attributes}
    answer = api.post("/proxies/it/toxics", json=body)
    assert answer.status_code == 200, answer.text


def remove(api: httpx.Client, type: str) -> None:
    assert api.delete(f"/proxies/it/toxics/{type}").status_code == 204


def test_calls_of_a_method_are_aborted_and_others_on_the_connection_pass(
    api: httpx.Client, channel: grpc.Channel, handler: Handler
) -> None:
    add(api, "grpc_abort", path="/shop.Orders/", message="out of 100% stock")
    handler.heard.clear()
    with pytest.raises(grpc.RpcError) as error:
        call(channel)
    assert error.value.code() is grpc.StatusCode.UNAVAILABLE
    assert error.value.details() == "out of 100% stock"
    for size in (0, 10, 100_000):
        request = os.urandom(size)
        assert code(channel, CALL, request) == "UNAVAILABLE"
        assert call(channel, OTHER, request) == OTHER.encode() + request
    assert set(handler.heard) == {OTHER}
    remove(api, "grpc_abort")
    assert (
        call(channel, CALL, b"x" * 100_000, metadata=[("a", "b" * 20_000)]) == CALL.encode() + b"x" * 100_000
    )


def test_more_is_aborted_than_a_window_holds(api: httpx.Client, channel: grpc.Channel) -> None:
    """What is thrown away must be given back to the sender, or its connection comes to a halt."""
    add(api, "grpc_abort", code=8, path=CALL)
    for _ in range(40):
        assert code(channel, CALL, bytes(300_000)) == "RESOURCE_EXHAUSTED"
    assert call(channel, OTHER, b"x" * 1_000_000) == OTHER.encode() + b"x" * 1_000_000


def test_a_stream_that_was_open_before_goes_on(api: httpx.Client, channel: grpc.Channel) -> None:
    more = threading.Semaphore(0)

    def requests() -> Iterator[bytes]:
        for number in range(3):
            more.acquire()
            yield bytes([number]) * 1000

    more.release()
    answers = channel.stream_stream("/shop.Orders/Stream")(requests(), timeout=20)
    assert next(answers) == bytes(1000)
    add(api, "grpc_abort", share=1.0)
    assert code(channel) == "UNAVAILABLE"
    more.release()
    assert next(answers) == bytes([1]) * 1000
    remove(api, "grpc_abort")
    assert code(channel) == "OK"
    more.release()
    assert list(answers) == [bytes([2]) * 1000]


def test_a_share_of_calls_is_aborted(api: httpx.Client, channel: grpc.Channel) -> None:
    add(api, "grpc_abort", share=0.5)
    assert 10 <= sum(code(channel) == "UNAVAILABLE" for _ in range(60)) <= 50


def test_streams_are_reset_alone(api: httpx.Client, channel: grpc.Channel) -> None:
    add(api, "http_abort", reset=True, path=CALL)
    waiting = channel.unary_unary(OTHER).future(b"x", timeout=10)
    assert code(channel) == "INTERNAL"
    assert waiting.result() == OTHER.encode() + b"x"


def test_a_status_of_http_ends_a_call(api: httpx.Client, channel: grpc.Channel) -> None:
    add(api, "http_abort", status=403)
    assert code(channel) == "PERMISSION_DENIED"
    add(api, "latency", latency=1)
    assert code(channel) == "PERMISSION_DENIED"


def test_delayed_calls_are_overtaken_by_others(
    api: httpx.Client, channel: grpc.Channel, handler: Handler
) -> None:
    add(api, "http_delay", delay=400, path=CALL)
    handler.heard.clear()
    start = time.monotonic()
    slow = [channel.unary_unary(CALL).future(bytes(20_000), timeout=10) for _ in range(5)]
    for number in range(50):
        assert call(channel, OTHER, bytes([number])) == OTHER.encode() + bytes([number])
    assert {one.result() for one in slow} == {CALL.encode() + bytes(20_000)}
    assert time.monotonic() - start >= 0.4
    assert handler.heard.index(CALL) > 10  # the others did not wait for those before them


def test_a_delay_that_is_removed_gives_on_what_it_holds(api: httpx.Client, channel: grpc.Channel) -> None:
    add(api, "http_delay", delay=60_000)
    slow = channel.unary_unary(CALL).future(b"x", timeout=10)
    gone = channel.unary_unary(CALL).future(b"gone", timeout=10)
    gone.cancel()
    remove(api, "http_delay")
    assert slow.result() == CALL.encode() + b"x"
    assert code(channel) == "OK"


def test_thousands_of_calls_pass_a_connection_of_which_some_are_hit(
    api: httpx.Client, channel: grpc.Channel
) -> None:
    add(api, "grpc_abort", share=0.1)
    add(api, "http_delay", share=0.1, delay=5)
    calls = [channel.unary_unary(CALL).future(bytes([n % 256]) * n, timeout=20) for n in range(1500)]
    found = [(n, one) for n, one in enumerate(calls) if one.exception() is None]
    assert all(one.result() == CALL.encode() + bytes([n % 256]) * n for n, one in found)
    failed = {one.code().name for one in calls if one.exception() is not None}
    assert failed == {"UNAVAILABLE"}
    assert 1200 <= len(found) <= 1450


def test_httpx_and_curl_see_a_status(api: httpx.Client) -> None:
    """Other clients than gRPC's; the node speaks HTTP/2 and says 415 to what is no gRPC, or nothing."""
    where = f"http://{api.get('/proxies/it').json()['listen']}"
    add(api, "http_abort", status=418, path="/tea")
    with httpx.Client(http1=False, http2=True, trust_env=False) as client:
        for method in ("GET", "POST"):
            answer = client.request(
                method, f"{where}/tea", content=b"x" * 50_000 if method == "POST" else b""
            )
            assert (answer.http_version, answer.status_code) == ("HTTP/2", 418)
    command = [
        "curl",
        "-s",
        "--noproxy",
        "*",
        "--http2-prior-knowledge",
        "-w",
        "%{http_version} %{http_code}",
    ]
    done = subprocess.run([*command, f"{where}/tea"], capture_output=True, text=True, timeout=10)
    assert done.stdout == "2 418"


def test_connections_that_were_hit_leave_nothing_open(
    proxy: Proxy, api: httpx.Client, channel: grpc.Channel
) -> None:
    add(api, "http_delay", delay=60_000, path=CALL)
    waiting = channel.unary_unary(CALL).future(b"x", timeout=10)
    before = proxy.open()
    channel.close()
    assert waiting.exception() is not None
    until(lambda: proxy.open() == before - 2)


@pytest.mark.parametrize("size", [1, 7, 9, 10, 1000])
def test_frames_are_found_however_the_stream_is_cut(size: int) -> None:
    data = b"P" * 24 + b"".join(
        len(body).to_bytes(3, "big") + bytes([kind, 0]) + stream.to_bytes(4, "big") + body
        for kind, stream, body in [(4, 0, b""), (1, 1, b"x" * 300), (0, 1, b"y"), (99, 3, b"z" * 9)]
    )
    cutter = Cutter(24)
    found = [one for at in range(0, len(data), size) for one in cutter.cut(data[at : at + size])]
    assert b"".join(one.raw for one in found) + cutter.rest == data
    assert [(one.kind, one.stream) for one in found] == [(-1, 0), (4, 0), (1, 1), (0, 1), (99, 3)]


def test_streams_that_are_over_are_forgotten_and_open_ones_are_not() -> None:
    streams = Streams()
    streams.begin(5)
    assert streams.open(9) == 7
    for stream in range(11, 10_011, 2):
        there = streams.open(stream)
        streams.end(stream, "client", False)
        streams.end(stream, "node", False)
        assert (streams.here(there), streams.there(stream)) == (stream, there)
    assert (streams.there(9), streams.here(7), streams.there(5)) == (7, 9, 5)
    assert streams.there(11) is None
    assert len(streams._there) <= 1_002
