from http import HTTPStatus
from typing import ClassVar

from engine.proxy.toxics import Attributes
from engine.proxy.toxics._requests import WHICH, _Requests


class HttpAbort(_Requests):
    """Answers a `share` of HTTP/1.1 requests with `status`, so that they never reach the node.

    The connection ends with that answer. Requests that were sent ahead on it are lost.
    """

    attributes: ClassVar[Attributes] = {"status": int(HTTPStatus.SERVICE_UNAVAILABLE), **WHICH}
    _over = False

    @classmethod
    def wrong(cls, attributes: Attributes) -> str:
        if not 200 <= attributes["status"] <= 599:
            return "status must be from 200 to 599"
        return super().wrong(attributes)

    def hit(self, head: bytes) -> None:
        if not self._over:
            self._over = True
            self.flow.connection.answer_instead(self._answer())

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
