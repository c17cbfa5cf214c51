"""HTTP/1.1 over a small pool of kept connections: cheap enough for a thousand requests a second.

Requests that find every connection busy wait in one queue, first come first served. A request
that its caller gives up leaves its connection busy until the late answer has drained.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

import httptools

from engine.clock import NS, now_ns
from engine.wire import Lost, NotConnected, Overload, WireError, reason

STALE_NS = 2 * NS  # an abandoned request unanswered for so long: the connection is given up
LARGEST = 256 * 1024 * 1024


@dataclass(frozen=True)
class Response:
    status: int
    body: bytes
    by: str = ""  # the value of the header that the pool was told to keep


@dataclass(eq=False, slots=True)
class _Exchange:
    data: bytes
    done: "asyncio.Future[Response]"
    head: bool
    sent_ns: int = 0


def encode(
    method: str, host: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> bytes:
    """A request as it goes on the wire, to be sent any number of times."""
    lines = [f"{method} {path or '/'} HTTP/1.1", f"Host: {host}", "User-Agent: chaosboard", "Accept: */*"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if body or method in ("POST", "PUT", "PATCH"):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


class _Connection(asyncio.Protocol):
    """One connection; it carries one exchange at a time."""

    def __init__(self, pool: "Http") -> None:
        self.pool = pool
        self.transport: asyncio.Transport | None = None
        self.exchange: _Exchange | None = None
        self._renew()

    def _renew(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.body: list[bytes] = []
        self.size = 0
        self.by = ""
        self.length_known = False
        self.in_body = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance

    def send(self, exchange: _Exchange) -> None:
        assert self.transport is not None
        exchange.sent_ns = now_ns()
        self.exchange = exchange
        self.transport.write(exchange.data)

    def data_received(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._give_up(f"not an HTTP answer: {error}")

    # httptools' callbacks

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() in (b"content-length", b"transfer-encoding"):
            self.length_known = True
        elif self.pool.keep and name.lower() == self.pool.keep:
            self.by = value.decode("latin-1").strip()

    def on_headers_complete(self) -> None:
        self.in_body = True
        if self.exchange and self.exchange.head:
            self._finish(keep=False)

    def on_body(self, data: bytes) -> None:
        self.size += len(data)
        if self.size > LARGEST:
            self._give_up("the answer is too large")
        else:
            self.body.append(data)

    def on_message_complete(self) -> None:
        if self.parser.get_status_code() >= 200:
            self._finish(keep=self.parser.should_keep_alive())

    def _finish(self, keep: bool) -> None:
        exchange, self.exchange = self.exchange, None
        if exchange and not exchange.done.done():
            exchange.done.set_result(Response(self.parser.get_status_code(), b"".join(self.body), self.by))
        self.body, self.size, self.in_body, self.length_known, self.by = [], 0, False, False, ""
        if keep and exchange:
            self.pool.free(self)
        elif self.transport:
            self.transport.abort()

    def _give_up(self, text: str) -> None:
        exchange, self.exchange = self.exchange, None
        if exchange and not exchange.done.done():
            exchange.done.set_exception(Lost(text))
        if self.transport:
            self.transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        if self.in_body and not self.length_known and not error:
            self._finish(keep=False)  # an answer that ends with its connection
        self._give_up(reason(error) if error else "the connection was closed before the answer")
        self.pool.lost(self)


@dataclass(eq=False)
class Http:
    """The pool of connections to one address."""

    host: str
    port: int
    connections: int = 64
    keep: bytes = b""  # a header whose value is told with each answer, in small letters
    _idle: list[_Connection] = field(default_factory=list, init=False)
    _busy: set[_Connection] = field(default_factory=set, init=False)
    _opening: "dict[asyncio.Task[tuple[asyncio.Transport, _Connection]], None]" = field(
        default_factory=dict, init=False
    )
    _queue: deque[_Exchange] = field(default_factory=deque, init=False)
    _closed: bool = field(default=False, init=False)

    async def request(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Response:
        host = f"{self.host}:{self.port}"
        return await self.exchange(encode(method, host, path, body, headers), head=method == "HEAD")

    async def exchange(self, data: bytes, *, head: bool = False) -> Response:
        """The answer to an encoded request; raises WireError.

        Cancelled before it was sent, it raises NotSent instead, so that the caller knows.
        """
        exchange = _Exchange(data, asyncio.get_running_loop().create_future(), head)
        if self._idle:
            self._send(self._idle.pop(), exchange)
        else:
            self._queue.append(exchange)
            self._drop_stale()
            self._pump()
        try:
            return await exchange.done
        except asyncio.CancelledError:
            if exchange.sent_ns or self._closed:
                raise
            raise self._unsent(exchange) from None

    def _unsent(self, exchange: _Exchange) -> WireError:
        if exchange in self._queue:
            self._queue.remove(exchange)
        if not self._opening:
            return Overload(f"all {self.connections} connections were waiting for answers")
        if len(self._opening) > len(self._queue):
            next(iter(self._opening)).cancel()  # its SYN may be lost: the next request tries anew
        return NotConnected("no connection in time")

    def _send(self, connection: _Connection, exchange: _Exchange) -> None:
        self._busy.add(connection)
        connection.send(exchange)

    def _pump(self) -> None:
        """Opens a connection for each waiting request, up to the cap."""
        if self._closed:
            return
        room = self.connections - len(self._busy) - len(self._idle) - len(self._opening)
        wanted = len(self._queue) - len(self._opening)
        for _ in range(min(room, wanted)):
            loop = asyncio.get_running_loop()
            opening = loop.create_connection(lambda: _Connection(self), self.host, self.port)
            task = loop.create_task(opening)
            self._opening[task] = None
            task.add_done_callback(self._opened)

    def _opened(self, task: "asyncio.Task[tuple[asyncio.Transport, _Connection]]") -> None:
        del self._opening[task]
        error = None if task.cancelled() else task.exception()
        if task.cancelled():
            self._pump()
        elif error:
            if waiting := self._next():
                waiting.done.set_exception(NotConnected(reason(error)))
            self._pump()
        else:
            self.free(task.result()[1])

    def _next(self) -> _Exchange | None:
        """The oldest waiting request that its caller has not given up."""
        while self._queue:
            exchange = self._queue.popleft()
            if not exchange.done.done():
                return exchange
        return None

    def free(self, connection: _Connection) -> None:
        """An idle connection: the oldest waiting request takes it."""
        self._busy.discard(connection)
        if self._closed and connection.transport:
            connection.transport.abort()
        elif waiting := self._next():
            self._send(connection, waiting)
        else:
            self._idle.append(connection)

    def lost(self, connection: _Connection) -> None:
        self._busy.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._pump()

    def _drop_stale(self) -> None:
        limit = now_ns() - STALE_NS
        for connection in list(self._busy):
            exchange = connection.exchange
            if exchange and exchange.done.done() and exchange.sent_ns < limit and connection.transport:
                connection.transport.abort()

    async def close(self) -> None:
        self._closed = True
        for task in list(self._opening):
            task.cancel()
        for connection in [*self._idle, *self._busy]:
            if connection.transport:
                connection.transport.abort()
        for exchange in self._queue:
            exchange.done.cancel()
        self._queue.clear()
