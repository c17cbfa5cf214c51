from http import HTTPStatus
from typing import TYPE_CHECKING, ClassVar

from engine.proxy.toxics import Attributes
from engine.proxy.toxics._requests import WHICH, _Requests

if TYPE_CHECKING:
    from engine.proxy.http2.session import Block, Session


class HttpAbort(_Requests):
    """Answers a `share` of requests with `status`, or resets them, so that they never reach the node.

    Of HTTP/2 it hits single streams, and the others of the connection go on. Of HTTP/1.1 the connection
    ends with it, and requests that were sent ahead on it are lost.
    """

    attributes: ClassVar[Attributes] = {
        "status": int(HTTPStatus.SERVICE_UNAVAILABLE), "reset": False, **WHICH,
    }  # fmt: skip
    _over = False

    @classmethod
    def wrong(cls, attributes: Attributes) -> str:
        if not 200 <= attributes["status"] <= 599:
            return "status must be from 200 to 599"
        return super().wrong(attributes)

    def hit(self, head: bytes) -> None:
        if self._over:
            return
        self._over = True
        if self.toxic.attributes["reset"]:
            self.flow.connection.abort()
        else:
            self.flow.connection.answer_instead(self._answer())

    def hit_stream(self, session: "Session", block: "Block") -> None:
        if self.toxic.attributes["reset"]:
            session.reset(block)
        else:
            status = str(self.toxic.attributes["status"]).encode()
            session.answer(block, [(b":status", status), (b"content-length", b"0")])

    def pass_on(self, piece: bytes) -> None:
        if not self._over:
            super().pass_on(piece)

    def _answer(self) -> bytes:
        status = self.toxic.attributes["status"]
        try:
            phrase = HTTPStatus(status).phrase
        except ValueError:
            phrase = "Unknown"
        return (f"HTTP/1.1 {status} {phrase}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").encode()
