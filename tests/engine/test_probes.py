"""Contract tests of all probes, and what each says of a real system."""

import asyncio
from typing import Any

import pytest

from engine.probes import REGISTRY, Leads, Probe, Reading, View
from engine.samples import Status
from engine.target import Node
from tests.engine.serving import answer, free_port, request, serving

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter
REMOTE = [name for name in REGISTRY.names() if name != "memory"]


async def look(probe: Probe, address: str) -> Reading:
    session = probe.session(Node("n1", address))
    try:
        async with asyncio.timeout(5):
            return await session.look()
    finally:
        await session.close()


async def view(probe: Probe, address: str) -> View:
    session = probe.session(Node("n1", address))
    assert isinstance(session, Leads)
    try:
        async with asyncio.timeout(5):
            return await session.view()
    finally:
        await session.close()


@pytest.mark.parametrize("name", REMOTE)
async def test_where_nobody_listens_the_reading_says_that_it_was_refused(name: str) -> None:
    reading = await look(REGISTRY.get(name)(), f"127.0.0.1:{await free_port()}")
    assert reading == Reading(False, "connection refused", Status.CONNECTION)


LISTENERS = (
    "tcp",
    "mariadb",
)  # a connection is all that the one wants; the other waits for the server to begin


@pytest.mark.parametrize("name", [name for name in REMOTE if name not in LISTENERS])
async def test_nonsense_is_a_bad_reading_and_no_error(name: str) -> None:
    async def handler(reader: Reader, writer: Writer) -> None:
        await reader.read(1)
        writer.write(b"\x00\xffnonsense\r\n\r\n")

    async with serving(handler) as port:
        reading = await look(REGISTRY.get(name)(), f"127.0.0.1:{port}")
    assert not reading.ok
    assert reading.error


@pytest.mark.parametrize("name", REGISTRY.names())
def test_a_probe_that_says_it_leads_has_sessions_that_do(name: str) -> None:
    probe = REGISTRY.get(name)
    assert isinstance(probe().session(Node("n1", "127.0.0.1:1")), Leads) == probe.leads


@pytest.mark.parametrize(
    ("status", "params", "good"),
    [
        ("200 OK", {}, True),
        ("302 Found", {}, True),
        ("404 Not Found", {}, False),
        ("404 Not Found", {"status": 404}, True),
        ("200 OK", {"status": 204}, False),
        ("200 OK", {"contains": "green"}, True),
        ("200 OK", {"contains": "red"}, False),
    ],
)
async def test_http_judges_status_and_text(status: str, params: dict[str, Any], good: bool) -> None:
    async def handler(reader: Reader, writer: Writer) -> None:
        await request(reader)
        writer.write(answer(b"all green", status))

    async with serving(handler) as port:
        reading = await look(REGISTRY.get("http")(**params), f"127.0.0.1:{port}")
    assert reading.ok is good


@pytest.mark.parametrize("path", ["health", "/a b", "/x\r\nHost: evil"])
def test_http_refuses_what_is_no_path(path: str) -> None:
    with pytest.raises(ValueError, match="is not a path"):
        REGISTRY.get("http")(path=path)


@pytest.mark.systems
@pytest.mark.parametrize("check", ["read", "write", "health", "status"])
async def test_every_member_of_a_whole_etcd_cluster_is_good(check: str, etcd_cluster: Any) -> None:
    probe = REGISTRY.get("etcd")(check=check)
    assert all([(await look(probe, node.address)).ok for node in etcd_cluster.nodes])


@pytest.mark.systems
async def test_etcd_members_agree_who_leads(etcd_cluster: Any) -> None:
    views = [await view(REGISTRY.get("etcd")(), node.address) for node in etcd_cluster.nodes]
    assert len({v.me for v in views}) == 3
    (leader,) = {v.leader for v in views}
    assert leader in {v.me for v in views}


@pytest.mark.systems
async def test_only_the_primary_takes_a_write_and_replicas_follow_it(valkey_sentinel: Any) -> None:
    data = [
        Node(**n)
        for n in ({k: n[k] for k in ("name", "address")} for n in valkey_sentinel.document()["nodes"])
    ]
    writes = [(await look(REGISTRY.get("redis")(check="write"), n.address)).ok for n in data]
    pings = [(await look(REGISTRY.get("redis")(check="ping"), n.address)).ok for n in data]
    views = [await view(REGISTRY.get("redis")(), n.address) for n in data]
    assert (sum(writes), all(pings)) == (1, True)
    assert {v.leader for v in views} == {views[writes.index(True)].me}
    assert all(v.position is not None for v in views)
