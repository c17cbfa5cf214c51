"""RESP over one pipelined connection: requests are answered in order, however many are open."""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Any, cast

import hiredis

from engine.clock import NS, now_ns
from engine.wire import Lost, NotConnected, Overload, reason

STALE_NS = 2 * NS  # an abandoned request unanswered for so long: the connection is given up
MOST_OPEN = 20_000
ServerError = hiredis.ReplyError
Argument = str | bytes | int | float


def encode(*arguments: Argument) -> bytes:
    packed: bytes = hiredis.pack_command(cast(Any, arguments))
    return packed


@dataclass(eq=False, slots=True)
class _Request:
    data: bytes
    done: "asyncio.Future[Any]"
    sent_ns: int = 0


class _Connection(asyncio.Protocol):
    def __init__(self, client: "Redis") -> None:
        self.client = client
        self.reader = hiredis.Reader()
        self.open: deque[_Request] = deque()
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance

    def send(self, request: _Request) -> None:
        assert self.transport is not None
        request.sent_ns = now_ns()
        self.open.append(request)
        self.transport.write(request.data)

    def data_received(self, data: bytes) -> None:
        self.reader.feed(data)
        try:
            while self.open:
                reply = self.reader.gets()
                if reply is False:
                    return
                self._answer(self.open.popleft(), reply)
        except hiredis.ProtocolError as error:
            self.end(f"not a Redis answer: {error}")

    def _answer(self, request: _Request, reply: Any) -> None:
        if request.done.done():
            return
        if isinstance(reply, ServerError):
            request.done.set_exception(reply)
        else:
            request.done.set_result(reply)

    def connection_lost(self, error: Exception | None) -> None:
        self.end(reason(error) if error else "the connection was closed before the answer")

    def end(self, text: str) -> None:
        self.client.lost(self)
        while self.open:
            request = self.open.popleft()
            if not request.done.done():
                request.done.set_exception(Lost(text))
        if self.transport:
            self.transport.abort()


@dataclass(eq=False)
class Redis:
    """One address. Connects when first used, and again after every loss; it never repeats a command."""

    host: str
    port: int
    _connection: _Connection | None = field(default=None, init=False)
    _closed: bool = field(default=False, init=False)
    _opening: "asyncio.Task[tuple[asyncio.Transport, _Connection]] | None" = field(default=None, init=False)
    _waiting: deque[_Request] = field(default_factory=deque, init=False)

    async def call(self, *arguments: Argument) -> Any:
        """The reply; raises WireError, or ServerError for an error reply."""
        return await self.exchange(encode(*arguments))

    async def exchange(self, data: bytes) -> Any:
        """As `call`, of an encoded command. Cancelled before it was sent, it raises NotSent instead."""
        self._drop_stale()
        connection = self._connection
        request = _Request(data, asyncio.get_running_loop().create_future())
        if connection is None:
            self._waiting.append(request)
            self._connect()
        elif len(connection.open) >= MOST_OPEN:
            raise Overload(f"{MOST_OPEN} commands are waiting for their answers")
        else:
            connection.send(request)
        try:
            return await request.done
        except asyncio.CancelledError:
            if request.sent_ns or self._closed:
                raise
            if request in self._waiting:
                self._waiting.remove(request)
            if self._opening:
                self._opening.cancel()  # its SYN may be lost: the next request tries anew
            raise NotConnected("no connection in time") from None

    def _connect(self) -> None:
        if self._opening is None and not self._closed:
            loop = asyncio.get_running_loop()
            opening = loop.create_connection(lambda: _Connection(self), self.host, self.port)
            self._opening = loop.create_task(opening)
            self._opening.add_done_callback(self._opened)

    def _opened(self, task: "asyncio.Task[tuple[asyncio.Transport, _Connection]]") -> None:
        self._opening = None
        waiting = [request for request in self._waiting if not request.done.done()]
        error = None if task.cancelled() else task.exception()
        if task.cancelled():
            if waiting:
                self._connect()
            return
        self._waiting.clear()
        if error:
            for request in waiting:
                request.done.set_exception(NotConnected(reason(error)))
            return
        self._connection = task.result()[1]
        for request in waiting:
            self._connection.send(request)

    def lost(self, connection: _Connection) -> None:
        if self._connection is connection:
            self._connection = None

    def _drop_stale(self) -> None:
        connection = self._connection
        if connection and connection.open:
            oldest = connection.open[0]
            if oldest.done.done() and oldest.sent_ns < now_ns() - STALE_NS:
                connection.end("no answer for too long")

    async def close(self) -> None:
        self._closed = True
        if self._opening:
            self._opening.cancel()
        for request in self._waiting:
            request.done.cancel()
        self._waiting.clear()
        if self._connection:
            self._connection.end("closed by us")
