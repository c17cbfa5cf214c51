"""One connection of HTTP/2, followed in both directions."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import hpack
from hyperframe.exceptions import HyperframeError

from engine.clock import NS
from engine.proxy.http1 import Head
from engine.proxy.http2 import frames, headers
from engine.proxy.http2.ends import Down, Up
from engine.proxy.http2.frames import Frame
from engine.proxy.http2.streams import Streams
from engine.proxy.loop import Timer

if TYPE_CHECKING:
    from engine.proxy.connection import Connection
    from engine.proxy.toxics._requests import _Requests

NO_ERROR, INTERNAL_ERROR = 0, 2
_WRONG = (hpack.HPACKError, HyperframeError, ValueError, AssertionError)


@dataclass(slots=True)
class Block:
    """A list of headers on a stream. `opens` it, or ends what was said on it."""

    stream: int
    opens: bool
    ends: bool
    fields: headers.Fields


@dataclass(slots=True)
class Held:
    """A stream that the node hears of later."""

    by: "_Requests"
    due: int  # monotonic nanoseconds
    timer: Timer
    parts: list[Block | Frame] = field(default_factory=list)
    size: int = 0


class Session:
    def __init__(self, connection: "Connection") -> None:
        assert connection.up
        assert connection.down
        self._connection = connection
        self.up, self.down = Up(self, connection.up), Down(self, connection.down)
        self.lost = False  # it cannot be followed any more, and passes as it is
        self._streams: Streams | None = None  # from the first one on that was hit
        self._reader = headers.Reader()
        self._block: list[Frame] = []  # whose end has not come yet
        self._updates = b""  # of a block that does not pass
        self._latest = 0  # the newest stream of the client
        self._passes = self._whole = True
        self._held: dict[int, Held] = {}

    # From the client

    def from_client(self, frame: Frame) -> bytes:
        """What the node is to get of it; nothing where it waits, or goes nowhere."""
        try:
            return self._from_client(frame)
        except _WRONG:
            if self._streams is not None:
                self._connection.abort()
                return b""
            self.lost = True
            return b"".join(one.raw for one in self._block) or frame.raw

    def _from_client(self, frame: Frame) -> bytes:
        if frame.kind in (frames.HEADERS, frames.CONTINUATION):
            self._block.append(frame)
            if sum(len(one.raw) for one in self._block) > headers.LONGEST:
                raise ValueError("too long")
            return self._headers() if frame.flags & frames.END_HEADERS else b""
        if frame.kind == frames.PREFACE and not frame.raw.startswith(b"PRI "):
            raise ValueError("no HTTP/2")
        if self._streams is None:
            return frame.raw
        if frame.kind in (frames.PRIORITY, frames.PRIORITY_UPDATE):
            return b""  # only advice, with numbers of streams in it
        return self._on_stream(frame, self._streams) if frame.stream else frame.raw

    def _headers(self) -> bytes:
        first, raw = self._block[0], b"".join(one.raw for one in self._block)
        fragment = b"".join(map(frames.fragment, self._block))
        opens = first.stream > self._latest
        rules = self.up.rules() if opens else []
        if not rules and self._streams is None:
            self._reader.follow(fragment)
            self._block, self._latest = [], max(self._latest, first.stream)
            return raw
        block = Block(first.stream, opens, first.ends(), self._reader.read(fragment))
        self._block, self._passes = [], True
        if opens:
            self._judge(block, rules)
            self._latest = block.stream
        if self._streams is None:
            return raw
        self._updates += headers.updates(fragment)
        return self._pass(block, self._streams) if self._passes else b""

    def _judge(self, block: Block, rules: "list[_Requests]") -> None:
        told = dict(block.fields)
        head = Head(
            *(told.get(name, b"").decode("latin-1") for name in (b":method", b":path", b"content-type"))
        )
        for rule in rules:
            if self._passes and rule.hits(head):
                if self._streams is None:
                    self._streams = Streams()
                    self._streams.begin(self._latest)
                rule.hit_stream(self, block)

    def _pass(self, block: Block, streams: Streams) -> bytes:
        if block.stream in self._held:
            return self._keep(block, sum(len(name) + len(value) for name, value in block.fields))
        there = streams.open(block.stream) if block.opens else streams.there(block.stream)
        if there is None:
            return b""
        if block.ends:
            streams.end(block.stream, "client", False)
        made, self._updates = self._updates + headers.write(block.fields), b""
        return frames.headers(there, made, block.ends)

    def _on_stream(self, frame: Frame, streams: Streams) -> bytes:
        if frame.stream in self._held:
            if frame.kind == frames.RST_STREAM:
                return self._let_go(frame.stream)
            return self._keep(frame, len(frame.raw))
        there = streams.there(frame.stream)
        if there is None:
            if frame.kind == frames.DATA:  # the node does not count it, so it may be sent again
                self.down.say(frames.window(len(frame.raw) - frames.HEAD))
            return b""
        if frame.ends():
            streams.end(frame.stream, "client", frame.kind == frames.RST_STREAM)
        return frame.on(there)

    # What is done to a stream

    def answer(self, block: Block, fields: headers.Fields) -> None:
        """The node hears nothing of it, and the client gets this answer."""
        self._forget(block.stream)
        self.down.say(frames.headers(block.stream, headers.write(fields), True))
        if not block.ends:
            self.down.say(frames.reset(block.stream, NO_ERROR))  # the rest need not be sent

    def reset(self, block: Block) -> None:
        """The node hears nothing of it, and the client that it failed."""
        self._forget(block.stream)
        self.down.say(frames.reset(block.stream, INTERNAL_ERROR))

    def hold(self, block: Block, seconds: float, by: "_Requests") -> None:
        """The node hears of it later, of all of it."""
        loop, stream = self._connection.loop, block.stream
        before = self._held.get(stream)
        due = (before.due if before else loop.now) + int(seconds * NS)
        if before:
            before.timer.cancel()
        self._held[stream] = Held(by, due, loop.at(due, lambda: self._goes_on(stream)))

    def release(self, by: "_Requests | None") -> None:
        """What `by` holds goes on; all that is held, where it is None."""
        for stream, held in list(self._held.items()):
            if by is None or held.by is by:
                self._goes_on(stream)

    def _forget(self, stream: int) -> None:
        self._let_go(stream)
        self._passes = False

    def _keep(self, part: Block | Frame, size: int) -> bytes:
        held = self._held[part.stream]
        held.parts.append(part)
        held.size += size
        self.up.flow.pending += size
        return b""

    def _let_go(self, stream: int) -> bytes:
        """Holds it no longer; what it was is gone."""
        held = self._held.pop(stream, None)
        if held is not None:
            held.timer.cancel()
            self.up.flow.pending -= held.size
        return b""

    def _goes_on(self, stream: int) -> None:
        parts = self._held[stream].parts
        self._let_go(stream)
        assert self._streams is not None
        passed = [
            self._pass(part, self._streams)
            if isinstance(part, Block)
            else self._on_stream(part, self._streams)
            for part in parts
        ]
        self.up.next.take(b"".join(passed))
        self.up.flow.loop.soon(self.up.flow.resume)

    # From the node

    def from_node(self, frame: Frame) -> bytes:
        if frame.kind in (frames.HEADERS, frames.PUSH_PROMISE, frames.CONTINUATION):
            self._whole = bool(frame.flags & frames.END_HEADERS)
        if self._streams is None:
            return frame.raw
        if frame.kind == frames.GOAWAY:
            last = frames.last_of(frame)
            return frame.raw if last >= 1 << 30 else frames.goaway(frame, self._streams.last_here(last))
        here = self._streams.here(frame.stream)
        if frame.ends():
            self._streams.end(here, "node", frame.kind == frames.RST_STREAM)
        return frame.on(here)

    def between(self) -> bool:
        """Whether something may be said between what the node says: not amid a list of headers."""
        return self._whole

    def stop(self) -> None:
        for held in self._held.values():
            held.timer.cancel()
        self._held.clear()
