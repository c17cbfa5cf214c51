from typing import ClassVar

from engine.proxy.toxics import Attributes
from engine.proxy.toxics._requests import WHICH, _Requests

MS = 1_000_000  # nanoseconds


class HttpDelay(_Requests):
    """Delays a `share` of HTTP/1.1 requests by `delay` milliseconds: those of a method, or of a path."""

    attributes: ClassVar[Attributes] = {"delay": 0, **WHICH}

    def hit(self, head: bytes) -> None:
        self.put(self.flow.loop.now + int(self.toxic.attributes["delay"] * MS), head)
