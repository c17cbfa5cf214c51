"""One direction of a connection: from a source socket to a sink socket.

An undisturbed flow is passed on as it comes, and spliced where it comes in bulk. A disturbed one goes
through a chain of stages, one for each toxic that applies to it.

Both sockets are watched for changes only. So whoever does not read to the end of what is there sets
`unread`, and whoever could not write all of it sets `stuck`.
"""

import socket
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from engine.proxy import arrival, pipes
from engine.proxy.bulk import Bulk
from engine.proxy.chain import refit
from engine.proxy.loop import IN_OR_OVER, OUT, OVER, Loop

if TYPE_CHECKING:
    from engine.proxy.connection import Connection
    from engine.proxy.side import Side
    from engine.proxy.toxics import Stage, Toxic

SIZE = 128 * 1024  # bytes of one read; who fills it sends in bulk
ROUNDS = 16  # reads in a row, before others come
_BUFFER = bytearray(SIZE)  # one is enough: what is read is passed on, or copied, at once
_VIEW = memoryview(_BUFFER)


class Flow:
    datagrams = False
    # fmt: off
    __slots__ = (
        "_backlog", "_closing", "_early", "_receive", "_send", "_sink", "_source", "_stamped", "backlog", "bulk",
        "chain", "connection", "done", "ended", "held", "loop", "pending", "side", "spared", "stuck", "unread",
        "version",
    )
    # fmt: on

    def __init__(
        self, connection: "Connection", side: "Side", source: socket.socket, sink: socket.socket, loop: Loop
    ) -> None:
        self.connection, self.side, self.loop = connection, side, loop
        self._receive, self._send, self._sink = source.recv_into, sink.send, sink
        self._source, self._stamped = source, False
        self.version = 0  # of the side's toxics, as this flow knows them
        self.chain: tuple[Stage, ...] = ()
        self.spared: set[Toxic] | None = None  # toxics that the dice kept from this flow
        self.held = False  # a cut: nothing is read, nothing is written
        self.ended = False  # the source has no more
        self.pending = 0  # bytes that wait in the chain
        self._backlog: deque[bytes] | None = None  # what the sink would not take yet
        self.backlog = 0  # its bytes
        self.bulk: Bulk | None = None
        self.stuck = self.unread = self._closing = self._early = False
        self.done = False  # its end has been passed on

    # What the sockets say

    def listener(self, other: "Flow") -> Callable[[int], None]:
        """Takes what is told of the source: that there is something to read, or that `other` may write to it.

        Most of what there is to do is to pass a small message on, undisturbed. So that is done right here.
        """
        side, receive, send = self.side, self._receive, self._send

        def hear(mask: int) -> None:
            if other.stuck and mask & OUT:
                other.writable()
            if not mask & IN_OR_OVER:
                return None
            if (
                mask & OVER or self.chain or self.stuck or self.bulk is not None or self.ended
                or self.version != side.version
            ):  # fmt: skip
                return self.read(mask & OVER)
            try:
                size = receive(_BUFFER)
            except OSError as error:
                return None if isinstance(error, BlockingIOError) else self.connection.abort()
            if not size:
                return self.finish()
            side.received += size
            try:
                sent = send(_VIEW[:size])
            except BlockingIOError:
                sent = 0
            except OSError:
                return self.connection.abort()
            side.sent += sent
            if sent < size:
                self._keep(bytes(_VIEW[sent:size]))
                self.unread = True
            elif size == SIZE:
                self._splice()
            return None

        return hear

    def read(self, over: int) -> None:
        """The source has something; where `over` is true its end is near, so it is read to the end."""
        if self.connection.closed:
            return None
        if self.version != self.side.version:
            refit(self)
        if self.chain:
            return self._read_through(over)
        if self.stuck or self.ended:
            self.unread = True
            return None
        if self.bulk is not None:
            return self._splice()
        side, receive = self.side, self._receive
        while True:
            try:
                size = receive(_BUFFER)
            except BlockingIOError:
                return None
            except OSError:
                return self.connection.abort()
            if not size:
                return self.finish()
            side.received += size
            if not self._pass(size):
                self.unread = True
                return None
            if size == SIZE:
                return self._splice()
            if not over:
                return None

    def _pass(self, size: int) -> bool:
        """Sends the first `size` bytes of the buffer; False where the sink did not take all of them."""
        try:
            sent = self._send(_VIEW[:size])
        except BlockingIOError:
            sent = 0
        except OSError:
            self.connection.abort()
            return False
        self.side.sent += sent
        if sent < size:
            self._keep(bytes(_VIEW[sent:size]))
            return False
        return True

    def writable(self) -> None:
        """The sink may take more."""
        if self.version != self.side.version:
            refit(self)
        if not self.stuck or self.held:
            return
        self.stuck = False
        backlog = self._backlog
        while backlog and not self.stuck:
            data = backlog.popleft()
            self.backlog -= len(data)
            self.take(data, first=True)
        if self.stuck or self.connection.closed:
            return
        if self._closing:
            self._shut()
        elif self.bulk is not None:
            self._splice()
        else:
            self.resume()

    def resume(self) -> None:
        """Goes on reading, where there was more than could be taken."""
        if self.unread and not self.connection.closed:
            self.unread = False
            self.read(1)

    def _splice(self) -> None:
        if self.bulk is None:
            pipe = pipes.take()
            if pipe is None:
                self.unread = True
                return self.loop.soon(self.resume)
            self.bulk = Bulk(self, pipe, self._source.fileno(), self._sink.fileno())
        return self.bulk.run()

    # Disturbed

    def _read_through(self, over: int) -> None:
        loop = self.loop
        for _ in range(ROUNDS):
            if self.ended:
                return None
            if self.held or self.pending + self.backlog >= min(stage.enough for stage in self.chain):
                self.unread = True
                if self.held:
                    self.side.holding.add(self)
                return None
            try:
                size, said, _, _ = self._source.recvmsg_into([_BUFFER], arrival.ROOM)
            except BlockingIOError:
                return None
            except OSError:
                return self.connection.abort()
            if not size:
                return self.finish()
            self.side.received += size
            awake = loop.now
            loop.now = arrival.came(said, awake)
            self.chain[0].take(bytes(_VIEW[:size]))
            loop.now = awake
            if self.connection.closed or (size < SIZE and not over):
                return None
            if not self.chain:
                break
        self.unread = True
        return loop.soon(self.resume)

    def look(self) -> None:
        """Looks whether the toxics of its side have changed."""
        if self.version != self.side.version and not self.connection.closed:
            refit(self)
            if self.chain and not self._stamped and not self.connection.closed:
                self._stamped = True
                arrival.ask(self._source)
        if self.held and (self.unread or self.pending):
            self.side.holding.add(self)

    def stop_splicing(self) -> None:
        if self.bulk is not None:
            held, self.bulk = self.bulk.end(), None
            if held:
                self._keep(held)
                self.loop.soon(self.writable)  # the sink may have room already, and would not say so again

    # The end of the chain

    def take(self, data: bytes, first: bool = False) -> None:
        """Writes `data`, or keeps it until the sink takes it; `first` is before what is kept already."""
        if self.stuck or self.connection.closed:
            return self._keep(data)
        try:
            sent = self._send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            return self.connection.abort()
        self.side.sent += sent
        if sent < len(data):
            self._keep(data[sent:], first)
        return None

    def _keep(self, data: bytes, first: bool = False) -> None:
        self.stuck = True
        if self._backlog is None:
            self._backlog = deque()
        (self._backlog.appendleft if first else self._backlog.append)(data)
        self.backlog += len(data)

    def finish(self) -> None:
        """The source has ended."""
        self.ended = True
        if self.chain:
            self.chain[0].end()
        else:
            self.end()

    def finish_with(self, data: bytes) -> None:
        """`data` and the end, in place of what the source may still say."""
        if self.ended:
            return
        self.stop_splicing()
        (self.chain[0] if self.chain else self).take(data)
        if not self.connection.closed:
            self.finish()

    def finish_early(self, stage: "Stage") -> None:
        """`stage` lets no more pass: what has passed it still arrives, and then the connection is closed."""
        if not self._early:
            self._early = self.ended = True
            stage.next.end()

    def end(self) -> None:
        """All has come through the chain, and nothing will come after it."""
        if self.stuck or self._closing:
            self._closing = True
        else:
            self._shut()

    def _shut(self) -> None:
        self._closing = True
        try:
            self._sink.shutdown(socket.SHUT_WR)
        except OSError:
            return self.connection.abort()
        return self.connection.close() if self._early else self.connection.half_closed(self)

    def clear(self) -> None:
        """The connection is gone: lets go of everything."""
        for stage in self.chain:
            stage.stop()
        self.side.holding.discard(self)
        self.chain, self._backlog, self.backlog, self.pending = (), None, 0, 0
        if self.bulk is not None:
            self.bulk.drop()
            self.bulk = None
