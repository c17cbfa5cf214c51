"""One exchange on a connection of its own: for protocols in which that is all that a look needs."""

import asyncio
from collections.abc import Callable

from engine.wire import Lost, NotConnected, reason

LARGEST = 1 << 20


async def ask(
    host: str, port: int, request: bytes, enough: Callable[[bytes], bool] = lambda data: False
) -> bytes:
    """What the server says to `request` until it is `enough` or the server closes.

    Raises NotConnected, or Lost where the connection breaks before anything came, or too much comes.
    """
    try:
        reader, writer = await asyncio.open_connection(host, port)
    except OSError as error:
        raise NotConnected(reason(error)) from None
    try:
        writer.write(request)
        return await _read(reader, enough)
    finally:
        writer.transport.abort()


async def _read(reader: asyncio.StreamReader, enough: Callable[[bytes], bool]) -> bytes:
    data = b""
    while not enough(data):
        try:
            more = await reader.read(65536)
        except OSError as error:
            raise Lost(reason(error)) from None
        if not more:
            break
        data += more
        if len(data) > LARGEST:
            raise Lost("the answer is too large")
    if not data:
        raise Lost("the connection was closed before the answer")
    return data
