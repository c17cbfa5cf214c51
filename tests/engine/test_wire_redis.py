"""The Redis client pipelines, answers in order, and says exactly how far a command got."""

import asyncio

import pytest

from engine.wire import Lost, NotConnected
from engine.wire.redis import Redis, ServerError
from tests.engine.serving import free_port, serving

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter


async def command(reader: Reader) -> list[bytes]:
    count = int((await reader.readline())[1:])
    words = []
    for _ in range(count):
        size = int((await reader.readline())[1:])
        words.append((await reader.readexactly(size + 2))[:-2])
    return words


async def echo(reader: Reader, writer: Writer) -> None:
    while True:
        word = (await command(reader))[1]
        writer.write(b"-ERR no\r\n" if word == b"bad" else b"$%d\r\n%s\r\n" % (len(word), word))


async def test_answers_come_in_the_order_of_the_commands() -> None:
    async with serving(echo) as port:
        client = Redis("127.0.0.1", port)
        answers = await asyncio.gather(*(client.call("ECHO", i) for i in range(100)))
        await client.close()
    assert answers == [b"%d" % i for i in range(100)]


async def test_an_error_reply_concerns_its_own_command_only() -> None:
    async with serving(echo) as port:
        client = Redis("127.0.0.1", port)
        before, bad, after = await asyncio.gather(
            client.call("ECHO", "a"),
            client.call("ECHO", "bad"),
            client.call("ECHO", "b"),
            return_exceptions=True,
        )
        await client.close()
    assert (before, after) == (b"a", b"b")
    assert isinstance(bad, ServerError)


async def test_an_abandoned_command_does_not_shift_the_answers() -> None:
    may_answer = asyncio.Event()

    async def handler(reader: Reader, writer: Writer) -> None:
        await may_answer.wait()
        await echo(reader, writer)

    async with serving(handler) as port:
        client = Redis("127.0.0.1", port)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await client.call("ECHO", "abandoned")
        waiting = asyncio.create_task(client.call("ECHO", "mine"))
        may_answer.set()
        assert await waiting == b"mine"
        await client.close()


async def test_it_connects_anew_after_a_loss_and_never_repeats_a_command() -> None:
    seen: list[bytes] = []

    async def handler(reader: Reader, writer: Writer) -> None:
        word = (await command(reader))[1]
        seen.append(word)
        if word != b"lost":
            writer.write(b"+OK\r\n")
            await reader.read()

    async with serving(handler) as port:
        client = Redis("127.0.0.1", port)
        with pytest.raises(Lost):
            await client.call("ECHO", "lost")
        assert await client.call("ECHO", "next") == b"OK"
        await client.close()
    assert seen == [b"lost", b"next"]


async def test_a_refused_connection_was_certainly_not_sent() -> None:
    client = Redis("127.0.0.1", await free_port())
    with pytest.raises(NotConnected, match="connection refused"):
        await client.call("PING")
    await client.close()


async def test_what_is_no_redis_is_lost() -> None:
    async def handler(reader: Reader, writer: Writer) -> None:
        await command(reader)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read()

    async with serving(handler) as port:
        client = Redis("127.0.0.1", port)
        with pytest.raises(Lost, match="not a Redis answer"):
            await client.call("PING")
        await client.close()
