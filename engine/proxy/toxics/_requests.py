"""What the toxics that know HTTP have in common: which requests they hit."""

import random
from typing import TYPE_CHECKING, ClassVar

from engine.proxy.http1 import Head, Requests
from engine.proxy.toxics import Attributes, Toxic
from engine.proxy.toxics._queue import _Queue

if TYPE_CHECKING:
    from engine.proxy.datagrams import DatagramFlow
    from engine.proxy.flow import Flow
    from engine.proxy.http2.session import Block, Session

# `path` is how a path begins; "" is every method, every path
WHICH: Attributes = {"share": 1.0, "method": "", "path": ""}


class _Requests(_Queue):
    """Of HTTP/1.1 it is given the bytes; of HTTP/2 it is asked about each stream, and passes the bytes."""

    carries: ClassVar[tuple[str, ...]] = ("tcp",)
    streams: ClassVar[tuple[str, ...]] = ("upstream",)

    def __init__(self, flow: "Flow | DatagramFlow", toxic: Toxic) -> None:
        super().__init__(flow, toxic)
        self._requests = Requests()

    @classmethod
    def wrong(cls, attributes: Attributes) -> str:
        return "" if 0 <= attributes["share"] <= 1 else "share must be from 0 to 1"

    def take(self, data: bytes) -> None:
        if self.flow.connection.http2 is not None:
            return self.next.take(data)
        for head, piece in self._requests.cut(data):
            if head is not None and self.hits(head):
                self.hit(piece)
            else:
                self.pass_on(piece)
        return None

    def hits(self, head: Head) -> bool:
        told = self.toxic.attributes
        if told["method"] and head.method != told["method"].upper():
            return False
        return head.path.startswith(told["path"]) and random.random() < told["share"]

    def hit(self, head: bytes) -> None:
        """A request of HTTP/1.1 begins so."""
        raise NotImplementedError

    def hit_stream(self, session: "Session", block: "Block") -> None:
        """A request of HTTP/2 begins so."""
        raise NotImplementedError

    def pass_on(self, piece: bytes) -> None:
        self.put(0, piece) if self.waiting else self.next.take(piece)

    def end(self) -> None:
        if rest := self._requests.end():
            self.pass_on(rest)
        self.put(0, None) if self.waiting else self.next.end()

    def release(self) -> None:
        if self.flow.connection.http2 is not None:
            self.flow.connection.http2.release(self)
        super().release()
        if rest := self._requests.end():
            self.next.take(rest)
