"""A flow in bulk: spliced from socket to socket by way of a pipe, so that nothing is copied here."""

import os
from typing import TYPE_CHECKING

from engine.proxy import pipes

if TYPE_CHECKING:
    from engine.proxy.flow import Flow

ROUNDS = 16  # pipes full in a row, before others come
IDLE = 1.0  # seconds after which a flow that has passed nothing gives its pipe back


class Bulk:
    __slots__ = ("_busy", "_flow", "_pipe", "_sink", "_source")

    def __init__(self, flow: "Flow", pipe: pipes.Pipe, source: int, sink: int) -> None:
        self._flow, self._pipe, self._source, self._sink = flow, pipe, source, sink
        self._busy = True
        flow.loop.after(IDLE, self._relax)

    def run(self) -> None:
        flow, pipe, source, sink = self._flow, self._pipe, self._source, self._sink
        self._busy = True
        for _ in range(ROUNDS):
            try:
                if not pipe.held:
                    pipe.held = os.splice(source, pipe.inlet, pipes.SIZE, flags=os.SPLICE_F_NONBLOCK)
                    if not pipe.held:
                        return flow.finish()
                    flow.side.received += pipe.held
            except BlockingIOError:
                return None
            except OSError:
                return flow.connection.abort()
            try:
                sent = os.splice(pipe.outlet, sink, pipe.held, flags=os.SPLICE_F_NONBLOCK)
            except BlockingIOError:
                flow.stuck = flow.unread = True
                return None
            except OSError:
                return flow.connection.abort()
            flow.side.sent += sent
            pipe.held -= sent
        flow.unread = True
        return flow.loop.soon(flow.resume)

    def _relax(self) -> None:
        """An idle connection holds no pipe."""
        if self._flow.bulk is not self:
            return
        if self._busy or self._pipe.held:
            self._busy = False
            self._flow.loop.after(IDLE, self._relax)
        else:
            self._flow.bulk = None
            self.end()

    def end(self) -> bytes:
        """Gives the pipe back; what was in it."""
        held = self._pipe.drain() if self._pipe.held else b""
        pipes.give_back(self._pipe)
        return held

    def drop(self) -> None:
        """The connection is gone, and so is what was in the pipe."""
        pipes.give_back(self._pipe)
