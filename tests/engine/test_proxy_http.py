"""Toxics that know HTTP/1.1: they hit the requests that they are told, and no others."""

import http.server
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from engine.proxy.http1 import Requests
from tests.proxies import Proxy, running


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        size = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(size) or self.path.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with running(tmp_path_factory.mktemp("proxy")) as found:
        yield found


@pytest.fixture
def api(proxy: Proxy) -> Iterator[httpx.Client]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever).start()
    with httpx.Client(base_url=f"http://{proxy.api}", trust_env=False) as api:
        body = {"name": "it", "listen": "127.0.0.1:0", "upstream": f"127.0.0.1:{server.server_port}"}
        assert api.post("/proxies", json=body).status_code == 201
        yield api
        api.delete("/proxies/it")
    server.shutdown()
    server.server_close()


@pytest.fixture
def web(api: httpx.Client) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://{api.get('/proxies/it').json()['listen']}", trust_env=False) as web:
        yield web


def add(api: httpx.Client, type: str, **attributes: Any) -> None:
    body = {"type": type, "name": type, "stream": "upstream", "attributes": attributes}
    answer = api.post("/proxies/it/toxics", json=body)
    assert answer.status_code == 200, answer.text


def test_requests_of_a_path_are_aborted_and_others_pass(api: httpx.Client, web: httpx.Client) -> None:
    assert web.get("/before").text == "/before"  # the connection is live
    add(api, "http_abort", status=503, path="/bad")
    for _ in range(3):
        assert web.get("/bad/one").status_code == 503
        assert web.get("/good").text == "/good"
    assert web.post("/bad", content=b"x" * 100_000).status_code == 503
    api.delete("/proxies/it/toxics/http_abort")
    assert web.get("/bad").text == "/bad"


def test_requests_of_a_method_are_delayed_and_others_pass(api: httpx.Client, web: httpx.Client) -> None:
    add(api, "http_delay", delay=200, method="POST")
    start = time.monotonic()
    assert web.get("/").text == "/"
    assert time.monotonic() - start < 0.2
    assert web.post("/", content=b"x" * 300_000).content == b"x" * 300_000
    assert time.monotonic() - start >= 0.2


def test_a_share_of_requests_is_aborted(api: httpx.Client, web: httpx.Client) -> None:
    add(api, "http_abort", share=0.5)
    assert 5 <= sum(web.get("/").status_code == 503 for _ in range(40)) <= 35


def test_bodies_in_chunks_are_followed_to_their_end(api: httpx.Client, web: httpx.Client) -> None:
    add(api, "http_abort", path="/bad")
    assert web.get("/good").text == "/good"
    assert web.get("/bad").status_code == 503


def test_they_are_only_for_what_clients_send(api: httpx.Client) -> None:
    body = {"type": "http_abort", "stream": "downstream"}
    answer = api.post("/proxies/it/toxics", json=body)
    assert (answer.status_code, answer.json()["title"][:16]) == (400, "bad request body")


STREAM = (
    b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
    b"POST /b HTTP/1.1\r\nContent-Length: 30\r\n\r\nGET /not HTTP/1.1\r\nHost: x\r\n\r\n"
    b"POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nGET /\r\na\r\n0123456789\r\n0\r\nT: 1\r\n\r\n"
    b"POST /d HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"
    b"DELETE /e HTTP/1.1\r\n\r\n"
)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 20, 1000])
def test_requests_are_found_however_the_stream_is_cut(size: int) -> None:
    requests, found, passed = Requests(), [], b""
    for start in range(0, len(STREAM), size):
        for head, piece in requests.cut(STREAM[start : start + size]):
            passed += piece
            found += [head.path] if head else []
    assert passed + requests.end() == STREAM
    assert found == ["/a", "/b", "/c", "/d", "/e"]


@pytest.mark.parametrize(
    "data", [b"\x16\x03\x01hello", b"*1\r\n$4\r\nPING\r\n", b"hello", b"PRI * HTTP/2.0\r\n\r\nSM"]
)
@pytest.mark.parametrize("size", [1, 5, 1000])
def test_what_is_no_http_passes_as_it_is(data: bytes, size: int) -> None:
    requests, passed = Requests(), b""
    for start in range(0, len(data), size):
        for head, piece in requests.cut(data[start : start + size]):
            assert head is None
            passed += piece
    assert passed + requests.end() == data
