"""A server for tests of clients: what it does with each connection is a coroutine of the test."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[int]:
    """Gives the port."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            return  # the client left
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def free_port() -> int:
    """A port at which nobody listens."""
    async with serving(nothing) as port:
        return port


async def nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    return


async def request(reader: asyncio.StreamReader) -> bytes:
    """The head of one HTTP request."""
    return await reader.readuntil(b"\r\n\r\n")


def answer(body: bytes, status: str = "200 OK") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status.encode(), len(body), body)
