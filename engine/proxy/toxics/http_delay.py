from typing import TYPE_CHECKING, ClassVar

from engine.proxy.toxics import Attributes
from engine.proxy.toxics._requests import WHICH, _Requests

if TYPE_CHECKING:
    from engine.proxy.http2.session import Block, Session

MS = 1_000_000  # nanoseconds


class HttpDelay(_Requests):
    """Delays a `share` of requests by `delay` milliseconds: those of a method, or of a path.

    Of HTTP/2 it delays single streams. Of HTTP/1.1 what comes after one on its connection waits for it.
    """

    attributes: ClassVar[Attributes] = {"delay": 0, **WHICH}

    def hit(self, head: bytes) -> None:
        self.put(self.flow.loop.now + int(self.toxic.attributes["delay"] * MS), head)

    def hit_stream(self, session: "Session", block: "Block") -> None:
        session.hold(block, max(0, self.toxic.attributes["delay"]) / 1000, self)
