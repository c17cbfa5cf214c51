"""The HTTP client says exactly how far a request got, and keeps its connections in order."""

import asyncio

import pytest

from engine.wire import Lost, NotConnected, Overload
from engine.wire.http import Http
from tests.engine.serving import answer, free_port, request, serving

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter


async def echo(reader: Reader, writer: Writer) -> None:
    """Answers each request with its path."""
    while True:
        head = await request(reader)
        writer.write(answer(head.split()[1]))


async def test_a_connection_is_kept_and_used_again() -> None:
    met = []

    async def handler(reader: Reader, writer: Writer) -> None:
        met.append(writer)
        await echo(reader, writer)

    async with serving(handler) as port:
        pool = Http("127.0.0.1", port)
        bodies = [(await pool.request("GET", f"/{i}")).body for i in range(5)]
        await pool.close()
    assert bodies == [b"/0", b"/1", b"/2", b"/3", b"/4"]
    assert len(met) == 1


async def test_concurrent_requests_get_their_own_answers_over_at_most_the_cap() -> None:
    met = []

    async def handler(reader: Reader, writer: Writer) -> None:
        met.append(writer)
        await echo(reader, writer)

    async with serving(handler) as port:
        pool = Http("127.0.0.1", port, connections=3)
        answers = await asyncio.gather(*(pool.request("GET", f"/{i}") for i in range(30)))
        await pool.close()
    assert [a.body for a in answers] == [b"/%d" % i for i in range(30)]
    assert len(met) <= 3


@pytest.mark.parametrize(
    ("raw", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", b"abcde"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + answer(b"then"), b"then"),
        (b"HTTP/1.0 200 OK\r\n\r\nuntil the end", b"until the end"),
    ],
    ids=["chunked", "no body", "continue first", "until it closes"],
)
async def test_every_way_to_end_an_answer_is_understood(raw: bytes, body: bytes) -> None:
    async def handler(reader: Reader, writer: Writer) -> None:
        await request(reader)
        writer.write(raw)

    async with serving(handler) as port:
        pool = Http("127.0.0.1", port)
        assert (await pool.request("GET", "/")).body == body
        await pool.close()


async def test_a_head_request_does_not_wait_for_a_body() -> None:
    async def handler(reader: Reader, writer: Writer) -> None:
        await request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
        await request(reader)

    async with serving(handler) as port:
        pool = Http("127.0.0.1", port)
        async with asyncio.timeout(2):
            assert (await pool.request("HEAD", "/")).status == 200
        await pool.close()


async def test_a_refused_connection_was_certainly_not_sent() -> None:
    pool = Http("127.0.0.1", await free_port())
    with pytest.raises(NotConnected, match="connection refused"):
        await pool.request("GET", "/")
    await pool.close()


async def test_a_connection_that_breaks_before_the_answer_is_lost() -> None:
    async def handler(reader: Reader, writer: Writer) -> None:
        await request(reader)

    async with serving(handler) as port:
        pool = Http("127.0.0.1", port)
        with pytest.raises(Lost):
            await pool.request("GET", "/")
        await pool.close()


async def test_what_is_no_http_is_lost() -> None:
    async def handler(reader: Reader, writer: Writer) -> None:
        await request(reader)
        writer.write(b"SSH-2.0-OpenSSH\r\n")
        await reader.read()

    async with serving(handler) as port:
        pool = Http("127.0.0.1", port)
        with pytest.raises(Lost, match="not an HTTP answer"):
            await pool.request("GET", "/")
        await pool.close()


async def test_a_request_that_waited_in_vain_for_a_connection_says_overload() -> None:
    arrived = asyncio.Event()

    async def handler(reader: Reader, writer: Writer) -> None:
        await request(reader)
        arrived.set()
        await reader.read()  # never answers

    async with serving(handler) as port:
        pool = Http("127.0.0.1", port, connections=1)
        first = asyncio.create_task(pool.request("GET", "/first"))
        await arrived.wait()
        with pytest.raises(Overload):
            async with asyncio.timeout(0.1):
                await pool.request("GET", "/second")
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first  # it was sent: nobody knows
        await pool.close()


async def test_the_connection_of_an_abandoned_request_drains_and_then_serves_the_oldest_waiting() -> None:
    met, may_answer = [], asyncio.Event()

    async def handler(reader: Reader, writer: Writer) -> None:
        met.append(writer)
        head = await request(reader)
        await may_answer.wait()
        writer.write(answer(head.split()[1]))
        await echo(reader, writer)

    async with serving(handler) as port:
        pool = Http("127.0.0.1", port, connections=1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await pool.request("GET", "/abandoned")
        waiting = [asyncio.create_task(pool.request("GET", f"/{i}")) for i in range(3)]
        done = []
        for task in waiting:
            task.add_done_callback(lambda t: done.append(t.result().body))
        may_answer.set()
        await asyncio.gather(*waiting)
        await asyncio.sleep(0)
        await pool.close()
    assert done == [b"/0", b"/1", b"/2"]
    assert len(met) == 1
