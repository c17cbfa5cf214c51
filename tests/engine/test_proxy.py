"""The link proxy: what it delays, what it cuts, and that it lets go by itself."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psutil
import pytest

from chaosboard import ports
from engine import processes, proxy
from engine.drivers.link import Link
from engine.target import Node


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("CHAOSBOARD_STATE", str(tmp_path))
    yield tmp_path
    for process in psutil.process_iter(["cmdline"]):
        if "proxy" in (process.info["cmdline"] or []) and str(tmp_path) in process.info["cmdline"]:
            process.terminate()
            process.wait(5)


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1000):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    upstream = server.sockets[0].getsockname()[1]
    one = Node("one", f"127.0.0.1:{ports.choose(1)[0]}", upstream=f"127.0.0.1:{upstream}")
    await asyncio.to_thread(Link().prepare, one)
    yield one
    Link().release(one)
    server.close()


async def round_trip(node: Node, within: float = 5.0) -> float:
    start = time.monotonic()
    reader, writer = await asyncio.open_connection(node.host, node.port)
    try:
        writer.write(b"hello")
        assert await asyncio.wait_for(reader.readexactly(5), within) == b"hello"
    finally:
        writer.close()
    return time.monotonic() - start


async def disturb(node: Node, seconds: float = 60.0, **how: object) -> None:
    await asyncio.to_thread(Link().disturb, node, "mark", how, time.time() + seconds)


async def test_a_link_passes_everything_on(node: Node) -> None:
    await round_trip(node)
    assert Link().cleared(node, "mark").gone


async def test_a_delay_is_added_each_way(node: Node) -> None:
    await disturb(node, delay=0.1)
    assert await round_trip(node) >= 0.2
    Link().clear(node, "mark")
    assert Link().cleared(node, "mark").gone
    await round_trip(node)


async def test_a_cut_link_passes_nothing_until_it_is_cleared(node: Node) -> None:
    reader, writer = await asyncio.open_connection(node.host, node.port)
    await disturb(node, cut=True)
    assert not Link().cleared(node, "mark").gone
    writer.write(b"hello")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.readexactly(5), 0.3)
    with pytest.raises(TimeoutError):
        await round_trip(node, within=0.3)
    Link().clear(node, "mark")
    assert await asyncio.wait_for(reader.readexactly(5), 5) == b"hello"
    writer.close()


async def test_a_disturbance_ends_by_itself(node: Node) -> None:
    await disturb(node, seconds=0.3, cut=True)
    await round_trip(node, within=5)
    assert Link().cleared(node, "mark").gone


async def test_links_are_opened_again_after_the_proxy_was_killed(node: Node, state: Path) -> None:
    pid = processes.holder(node.port)
    psutil.Process(pid).kill()
    while processes.status({"pid": pid, "started": 0}) != "gone":
        await asyncio.sleep(0.01)
    assert Link().cleared(node, "mark").gone
    await asyncio.to_thread(proxy.ensure, state)
    await round_trip(node)


async def test_a_port_that_is_taken_is_named(node: Node) -> None:
    taken = Node("two", node.upstream, upstream=node.address)
    assert f"Port {taken.port} is held by pid" in Link().refusal(taken)
