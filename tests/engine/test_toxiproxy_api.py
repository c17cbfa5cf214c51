"""Toxiproxy's HTTP API: its shapes, its statuses and titles, also for input that means no good."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.proxies import Proxy, running, serve
from tests.waiting import until


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with running(tmp_path_factory.mktemp("proxy")) as found:
        yield found


@pytest.fixture
def api(proxy: Proxy) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://{proxy.api}", trust_env=False, timeout=10) as client:
        yield client
        for name in client.get("/proxies").json():
            client.delete(f"/proxies/{name}")


@pytest.fixture
def upstream() -> Iterator[str]:
    def echo(one: socket.socket) -> None:
        while data := one.recv(65536):
            one.sendall(data)

    with serve(echo) as port:
        yield f"127.0.0.1:{port}"


def create(api: httpx.Client, upstream: str, **more: Any) -> dict[str, Any]:
    answer = api.post("/proxies", json={"name": "one", "listen": "127.0.0.1:0", "upstream": upstream, **more})
    assert answer.status_code == 201, answer.text
    return answer.json()


def connect(made: dict[str, Any]) -> socket.socket:
    host, _, port = made["listen"].rpartition(":")
    return socket.create_connection((host, int(port)), timeout=5)


def echoes(made: dict[str, Any]) -> bool:
    with connect(made) as one:
        one.sendall(b"hello")
        return one.recv(5) == b"hello"


def refused(made: dict[str, Any]) -> bool:
    try:
        connect(made).close()
    except ConnectionRefusedError:
        return True
    return False


def test_a_proxy_is_made_shown_listed_and_deleted(api: httpx.Client, upstream: str) -> None:
    made = create(api, upstream)
    assert list(made) == ["name", "listen", "upstream", "enabled", "toxics"]
    assert made == {
        "name": "one", "listen": made["listen"], "upstream": upstream, "enabled": True, "toxics": [],
    }  # fmt: skip
    assert not made["listen"].endswith(":0")
    assert echoes(made)
    assert api.get("/proxies/one").json() == made
    assert api.get("/proxies").json() == {"one": made}
    answer = api.delete("/proxies/one")
    assert (answer.status_code, answer.content) == (204, b"")
    assert api.get("/proxies").json() == {}
    assert refused(made)


def test_a_disabled_proxy_is_down_and_its_connections_dropped(api: httpx.Client, upstream: str) -> None:
    made = create(api, upstream)
    with connect(made) as one:
        one.sendall(b"x")
        assert one.recv(1) == b"x"
        assert api.post("/proxies/one", json={"enabled": False}).json()["enabled"] is False
        assert one.recv(1) == b""
    assert refused(made)
    assert api.patch("/proxies/one", json={"enabled": True}).json() == made
    assert echoes(made)


def test_another_upstream_restarts_the_proxy(api: httpx.Client, upstream: str) -> None:
    made = create(api, "127.0.0.1:1")
    changed = api.post("/proxies/one", json={"upstream": upstream, "listen": made["listen"]}).json()
    assert changed == {**made, "upstream": upstream}
    assert echoes(changed)


def test_a_toxic_is_made_shown_updated_and_removed(api: httpx.Client, upstream: str) -> None:
    create(api, upstream)
    answer = api.post("/proxies/one/toxics", json={"type": "latency", "attributes": {"latency": 100}})
    made = {"attributes": {"latency": 100, "jitter": 0}, "name": "latency_downstream", "type": "latency",
            "stream": "downstream", "toxicity": 1}  # fmt: skip
    assert (answer.status_code, answer.json()) == (200, made)
    where = "/proxies/one/toxics/latency_downstream"
    assert api.get(where).json() == made
    assert api.get("/proxies/one/toxics").json() == [made] == api.get("/proxies/one").json()["toxics"]
    changed = {**made, "toxicity": 0.5, "attributes": {"latency": 100, "jitter": 7}}
    assert api.post(where, json={"toxicity": 0.5, "attributes": {"jitter": 7}}).json() == changed
    assert api.get(where).json() == changed
    assert api.delete(where).status_code == 204
    assert api.get("/proxies/one/toxics").json() == []


@pytest.mark.parametrize(
    ("type", "attributes"),
    [
        ("latency", {"latency": 1, "jitter": 2}), ("bandwidth", {"rate": 3}), ("slow_close", {"delay": 4}),
        ("timeout", {"timeout": 5}), ("reset_peer", {"timeout": 6}), ("limit_data", {"bytes": 7}),
        ("slicer", {"average_size": 8, "size_variation": 9, "delay": 10}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("stream", ["upstream", "downstream"])
def test_every_toxic_has_toxiproxys_attributes(
    api: httpx.Client, upstream: str, type: str, attributes: dict[str, int], stream: str
) -> None:
    create(api, upstream)
    body = {"type": type, "stream": stream, "name": "it", "attributes": attributes, "toxicity": 1.0}
    assert api.post("/proxies/one/toxics", json=body).json() == body


def test_reset_enables_all_and_removes_every_toxic(api: httpx.Client, upstream: str) -> None:
    made = create(api, upstream, enabled=False)
    assert api.post("/proxies/one/toxics", json={"type": "timeout"}).status_code == 200
    assert api.post("/reset").status_code == 204
    found = api.get("/proxies/one").json()
    assert (found["enabled"], found["toxics"]) == (True, [])
    assert echoes(found)
    assert made["listen"] == "127.0.0.1:0"


def test_populate_makes_replaces_and_leaves_what_is_the_same(api: httpx.Client, upstream: str) -> None:
    made = create(api, upstream)
    api.post("/proxies/one/toxics", json={"type": "latency"})
    two = {"name": "two", "listen": "127.0.0.1:0", "upstream": upstream}
    answer = api.post("/populate", json=[{**made, "toxics": None}, two])
    assert answer.status_code == 201
    assert [one["name"] for one in answer.json()["proxies"]] == ["one", "two"]
    assert len(answer.json()["proxies"][0]["toxics"]) == 1
    answer = api.post("/populate", json=[{**made, "upstream": "127.0.0.1:1"}])
    assert answer.json()["proxies"] == [{**made, "upstream": "127.0.0.1:1"}]


def test_a_populate_that_is_wrong_changes_nothing(api: httpx.Client, upstream: str) -> None:
    answer = api.post("/populate", json=[{"name": "one", "upstream": upstream}, {"name": "two"}])
    assert answer.status_code == 400
    assert answer.json()["error"] == "missing required field: upstream at proxy 2"
    assert (answer.json()["status"], answer.json()["proxies"]) == (400, [])
    assert api.get("/proxies").json() == {}


def test_version_and_metrics(api: httpx.Client, upstream: str) -> None:
    answer = api.get("/version")
    assert answer.headers["content-type"] == "application/json;charset=utf-8"
    assert answer.json()["version"].startswith("2.")
    made = create(api, upstream)
    assert echoes(made)
    labels = f'proxy="one",upstream="{upstream}"}} 5'
    for what in ("received", "sent"):
        for direction in ("upstream", "downstream"):
            start = f'toxiproxy_proxy_{what}_bytes_total{{direction="{direction}",'
            assert f'{start}listener="{made["listen"]}",{labels}' in api.get("/metrics").text


ONE = '{"name": "one", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:1"}'
TOXICS = "/proxies/one/toxics"


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "title"),
    [
        ("GET", "/proxies/none", "", 404, "proxy not found"),
        ("DELETE", "/proxies/none", "", 404, "proxy not found"),
        ("POST", "/proxies/none", "{", 404, "proxy not found"),
        ("POST", "/proxies/none/toxics", "{}", 404, "proxy not found"),
        ("GET", TOXICS + "/none", "", 404, "toxic not found"),
        ("POST", TOXICS + "/none", "{}", 404, "toxic not found"),
        ("DELETE", TOXICS + "/none", "", 404, "toxic not found"),
        ("POST", "/proxies", ONE, 409, "proxy already exists"),
        ("POST", "/proxies", "", 400, "bad request body: EOF"),
        ("POST", "/proxies", "{", 400, "bad request body"),
        ("POST", "/proxies", "[" * 100_000, 400, "bad request body"),
        ("POST", "/proxies", "[1]", 400, "bad request body"),
        ("POST", "/proxies", '{"name": 7, "upstream": "a:1"}', 400, "bad request body"),
        ("POST", "/proxies", '{"upstream": "a:1"}', 400, "missing required field: name"),
        ("POST", "/proxies", '{"name": "two"}', 400, "missing required field: upstream"),
        ("POST", "/proxies", '{"name": "two", "upstream": "a:1", "listen": "nonsense"}', 500, "listen tcp"),
        ("POST", "/proxies", '{"name": "two", "upstream": "a:1", "listen": "127.0.0.1:99999"}', 500, "listen"),
        ("POST", TOXICS, '{"type": "no such"}', 400, "invalid toxic type"),
        ("POST", TOXICS, '{"type": ""}', 400, "invalid toxic type"),
        ("POST", TOXICS, '{"type": "../latency"}', 400, "invalid toxic type"),
        ("POST", TOXICS, '{"type": "latency", "stream": "sideways"}', 400, "stream was invalid"),
        ("POST", TOXICS, '{"type": "latency", "attributes": {"latency": "x"}}', 400, "bad request body"),
        ("POST", TOXICS, '{"type": "latency", "attributes": {"latency": 1.5}}', 400, "bad request body"),
        ("POST", TOXICS, '{"type": "latency", "attributes": {"latency": NaN}}', 400, "bad request body"),
        ("POST", TOXICS, '{"type": "latency", "attributes": [1]}', 400, "bad request body"),
        ("POST", TOXICS, '{"type": "latency", "attributes": {"latency": 1e400}}', 400, "bad request body"),
        ("POST", TOXICS, '{"type": "latency", "toxicity": "all"}', 400, "bad request body"),
        ("POST", TOXICS, '{"type": "timeout"}', 409, "toxic already exists"),
        ("GET", "/nowhere", "", 404, "404 page not found"),
        ("PUT", "/proxies", "{}", 405, "method not allowed"),
        ("POST", "/populate", '{"a": 1}', 400, "bad request body"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_answered_with_a_status_and_a_title(
    api: httpx.Client, method: str, path: str, body: str, status: int, title: str
) -> None:
    assert api.post("/proxies", content=ONE).status_code == 201
    assert api.post(TOXICS, json={"type": "timeout"}).status_code == 200
    answer = api.request(method, path, content=body)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"].startswith(title)
    assert answer.json()["title"] == answer.json()["error"]
    assert answer.json()["status"] == status
    assert list(api.get("/proxies").json()) == ["one"]


def test_a_port_that_is_taken_is_told(api: httpx.Client, upstream: str) -> None:
    answer = api.post("/proxies", json={"name": "two", "listen": upstream, "upstream": "127.0.0.1:1"})
    assert answer.status_code == 500
    assert answer.json()["error"] == f"listen tcp {upstream}: bind: address already in use"


def test_a_name_with_slashes_is_taken_and_never_found(tmp_path: Path, upstream: str) -> None:
    """Toxiproxy reads the address after it was unescaped: only a list shows such a proxy."""
    with running(tmp_path) as proxy, httpx.Client(base_url=f"http://{proxy.api}", trust_env=False) as api:
        made = api.post("/proxies", json={"name": "a/b", "listen": "127.0.0.1:0", "upstream": upstream})
        assert made.status_code == 201
        for path in ("/proxies/a/b", "/proxies/a%2Fb", "/proxies/..%2Fproxies"):
            assert api.get(path).status_code == 404
            assert api.delete(path).status_code == 404
        assert list(api.get("/proxies").json()) == ["a/b"]
        assert echoes(made.json())


def test_a_body_without_end_is_refused_and_others_are_answered(proxy: Proxy, api: httpx.Client) -> None:
    answer = api.post("/proxies", content=b'{"name": "' + b"x" * (17 << 20))
    assert (answer.status_code, answer.json()["error"]) == (413, "request body too large")
    assert api.get("/version").status_code == 200
    long = api.post("/proxies", json={"name": "x" * 1_000_000, "upstream": "a:1", "listen": "nonsense"})
    assert long.status_code == 500


def test_browsers_are_kept_out(api: httpx.Client) -> None:
    answer = api.get("/proxies", headers={"User-Agent": "Mozilla/5.0"})
    assert (answer.status_code, answer.json()["title"]) == (403, "User agent not allowed")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET /version HTTP/9.9\r\n\r\n", 505),
        (b"GET /version HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"POST /proxies HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST /proxies HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", 413),
        (b"POST /proxies HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"GET /" + b"x" * 70_000, 431),
        (b"POST /reset HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 204),
        (b"POST /proxies HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n", 100),
    ],
)
def test_bytes_that_are_no_request_are_answered(proxy: Proxy, sent: bytes, status: int) -> None:
    host, _, port = proxy.api.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=5) as one:
        one.sendall(sent)
        assert one.recv(1000).startswith(b"HTTP/1.1 %d " % status)


def test_orders_are_answered_while_a_toxic_hangs(api: httpx.Client, upstream: str) -> None:
    made = create(api, upstream)
    api.post("/proxies/one/toxics", json={"type": "timeout", "stream": "upstream"})
    with connect(made) as one:
        one.sendall(b"x" * 1000)
        assert api.get("/proxies/one/toxics").status_code == 200
        assert api.delete("/proxies/one/toxics/timeout_upstream").status_code == 204
        one.sendall(b"y")
        assert one.recv(1) == b"y"


def test_a_toxic_with_a_lease_ends_by_itself(api: httpx.Client, upstream: str) -> None:
    made = create(api, upstream)
    body = {"type": "timeout", "lease": 300}
    assert api.post("/proxies/one/toxics", json=body).json()["until"] > 0
    until(lambda: api.get("/proxies/one/toxics").json() == [], timeout=5)
    assert echoes(made)


def test_a_lease_that_is_renewed_goes_on(api: httpx.Client, upstream: str) -> None:
    create(api, upstream)
    api.post("/proxies/one/toxics", json={"type": "timeout", "name": "it", "lease": 200})
    api.post("/proxies/one/toxics", json={"type": "latency", "name": "other", "lease": 300})
    api.post("/proxies/one/toxics/it", json={"lease": 60_000})
    until(lambda: [one["name"] for one in api.get("/proxies/one/toxics").json()] == ["it"], timeout=5)


def test_many_requests_on_one_connection(proxy: Proxy) -> None:
    host, _, port = proxy.api.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=5) as one:
        one.sendall(b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n" * 3)
        found = b""
        while found.count(b'"version"') < 3:
            found += one.recv(10_000)
    assert json.loads(found.rpartition(b"\r\n\r\n")[2])
