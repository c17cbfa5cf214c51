"""One direction of a connection: from a source socket to a sink socket.

An undisturbed flow is passed on as it comes, and spliced where it comes in bulk. A disturbed one goes
through a chain of stages, one for each toxic that applies to it.

Both sockets are watched for changes only. So whoever does not read to the end of what is there sets
`unread`, and whoever could not write all of it sets `stuck`.
"""

import os
import random
import socket
from collections import deque
from typing import TYPE_CHECKING

from engine.proxy import pipes
from engine.proxy.loop import Loop

if TYPE_CHECKING:
    from engine.proxy.connection import Connection
    from engine.proxy.side import Side
    from engine.proxy.toxics import Stage, Toxic

SIZE = 128 * 1024  # bytes of one read; who fills it sends in bulk
ROUNDS = 16  # reads in a row, before others come
ENOUGH = 8 << 20  # bytes that may wait in a disturbed flow; more wait in the sender's socket
IDLE = 1.0  # seconds after which a flow that has passed nothing in bulk gives its pipe back
_BUFFER = bytearray(SIZE)  # one is enough: what is read is passed on, or copied, at once
_VIEW = memoryview(_BUFFER)


class Flow:
    __slots__ = (
        "_backlog", "_busy", "_closing", "_early", "_pipe", "_receive", "_send", "_sink", "_sink_fd", "_source_fd",
        "_spared", "_unread", "_version", "backlog", "chain", "connection", "done", "ended", "held",
        "loop", "pending", "side", "stuck",
    )  # fmt: skip

    def __init__(
        self, connection: "Connection", side: "Side", source: socket.socket, sink: socket.socket, loop: Loop
    ) -> None:
        self.connection, self.side, self.loop = connection, side, loop
        self._receive, self._send, self._sink = source.recv_into, sink.send, sink
        self._source_fd, self._sink_fd = source.fileno(), sink.fileno()
        self._version = 0  # of the side's toxics, as this flow knows them
        self.chain: tuple[Stage, ...] = ()
        self._spared: set[Toxic] | None = None  # toxics that the dice kept from this flow
        self.held = False  # a cut: nothing is read, nothing is written
        self.ended = False  # the source has no more
        self.pending = 0  # bytes that wait in the chain
        self._backlog: deque[bytes] | None = None  # what the sink would not take yet
        self.backlog = 0  # its bytes
        self._pipe: pipes.Pipe | None = None
        self.stuck = self._unread = self._busy = self._closing = self._early = False
        self.done = False  # its end has been passed on

    # What the sockets say

    def read(self, over: int) -> None:
        """The source has something; where `over` is true its end is near, so it is read to the end."""
        if self.connection.closed:
            return None
        if self._version != self.side.version:
            self.refit()
        if self.chain:
            return self._read_through(over)
        if self.stuck or self.ended:
            self._unread = True
            return None
        if self._pipe is not None:
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
                self._unread = True
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
        if self._version != self.side.version:
            self.refit()
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
        elif self._pipe is not None:
            self._splice()
        else:
            self.resume()

    def resume(self) -> None:
        """Goes on reading, where there was more than could be taken."""
        if self._unread and not self.connection.closed:
            self._unread = False
            self.read(1)

    # Undisturbed, in bulk

    def _splice(self) -> None:
        if self._pipe is None:
            self._pipe = pipes.take()
            if self._pipe is None:
                self._unread = True
                return self.loop.soon(self.resume)
            self.loop.after(IDLE, self._relax)
        pipe, side, source, sink = self._pipe, self.side, self._source_fd, self._sink_fd
        self._busy = True
        for _ in range(ROUNDS):
            try:
                if not pipe.held:
                    pipe.held = os.splice(source, pipe.inlet, pipes.SIZE, flags=os.SPLICE_F_NONBLOCK)
                    if not pipe.held:
                        return self.finish()
                    side.received += pipe.held
            except BlockingIOError:
                return None
            except OSError:
                return self.connection.abort()
            try:
                sent = os.splice(pipe.outlet, sink, pipe.held, flags=os.SPLICE_F_NONBLOCK)
            except BlockingIOError:
                self.stuck = self._unread = True
                return None
            except OSError:
                return self.connection.abort()
            side.sent += sent
            pipe.held -= sent
        self._unread = True
        return self.loop.soon(self.resume)

    def _relax(self) -> None:
        """An idle connection holds no pipe."""
        pipe = self._pipe
        if pipe is None:
            return
        if self._busy or pipe.held:
            self._busy = False
            self.loop.after(IDLE, self._relax)
        else:
            self._pipe = None
            pipes.give_back(pipe)

    # Disturbed

    def _read_through(self, over: int) -> None:
        for _ in range(ROUNDS):
            if self.ended:
                return None
            if self.held or self.pending + self.backlog >= min(stage.enough for stage in self.chain):
                self._unread = True
                return None
            try:
                size = self._receive(_BUFFER)
            except BlockingIOError:
                return None
            except OSError:
                return self.connection.abort()
            if not size:
                return self.finish()
            self.side.received += size
            self.chain[0].take(bytes(_VIEW[:size]))
            if self.connection.closed or (size < SIZE and not over):
                return None
            if not self.chain:
                break
        self._unread = True
        return self.loop.soon(self.resume)

    def look(self) -> None:
        """Looks whether the toxics have changed."""
        if self._version != self.side.version:
            self.refit()

    def refit(self) -> None:
        """The toxics of the side have changed: gone ones give on what they hold, new ones begin."""
        side = self.side
        self._version = side.version
        old = {stage.toxic: stage for stage in self.chain}
        wanted = [toxic for toxic in side.toxics if toxic in old or self._applies(toxic)]
        wanted.sort(key=lambda toxic: toxic.kind.last)
        gone = [stage for stage in self.chain if stage.toxic not in wanted]
        if self._pipe is not None and wanted:
            self._undo_splicing(self._pipe)
        stages = [old.get(toxic) or toxic.kind(self, toxic) for toxic in wanted]
        self.held = any(stage.holds for stage in stages)
        for stage in gone:
            stage.release()
        if self.connection.closed:
            return
        self.chain = tuple(stages)
        for stage, after in zip(stages, [*stages[1:], self], strict=False):
            stage.next = after  # type: ignore[assignment]
        for stage in stages:
            if stage.toxic not in old:
                stage.start(next((one for one in gone if one.toxic is stage.toxic.before), None))
        if gone:
            self._unread = True
            self.loop.soon(self.writable if self.stuck else self.resume)

    def _applies(self, toxic: "Toxic") -> bool:
        if toxic.toxicity >= 1:
            return True
        if self._spared is None:
            self._spared = set()
        self._spared &= set(self.side.toxics)
        if toxic not in self._spared:
            if random.random() < toxic.toxicity:
                return True
            self._spared.add(toxic)
        return False

    def _undo_splicing(self, pipe: pipes.Pipe) -> None:
        self._pipe = None
        if pipe.held:
            self._keep(pipe.drain())
            self.loop.soon(self.writable)  # the sink may have room already, and would not say so again
        pipes.give_back(pipe)

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
        self.chain, self._backlog, self.backlog, self.pending = (), None, 0, 0
        if self._pipe is not None:
            pipes.give_back(self._pipe)
            self._pipe = None
