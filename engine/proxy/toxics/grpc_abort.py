from typing import TYPE_CHECKING, ClassVar
from urllib.parse import quote

from engine.proxy.http1 import Head
from engine.proxy.toxics import Attributes
from engine.proxy.toxics._requests import WHICH, _Requests

if TYPE_CHECKING:
    from engine.proxy.http2.session import Block, Session

UNAVAILABLE, LARGEST = 14, 16
PLAIN = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")  # of a message, what gRPC does not escape


class GrpcAbort(_Requests):
    """Answers a `share` of gRPC calls with the status `code`, so that they never reach the node.

    `path` is "/package.Service/Method", or how it begins. Other calls on the connection go on.
    """

    attributes: ClassVar[Attributes] = {"code": UNAVAILABLE, "message": "", **WHICH}

    @classmethod
    def wrong(cls, attributes: Attributes) -> str:
        if not 1 <= attributes["code"] <= LARGEST:
            return f"code must be from 1 to {LARGEST}"
        return super().wrong(attributes)

    def hits(self, head: Head) -> bool:
        return head.content_type.startswith("application/grpc") and super().hits(head)

    def hit_stream(self, session: "Session", block: "Block") -> None:
        told = self.toxic.attributes
        message = quote(told["message"], safe=PLAIN)
        fields = [
            (b":status", b"200"), (b"content-type", b"application/grpc"),
            (b"grpc-status", str(told["code"]).encode()), (b"grpc-message", message.encode()),
        ]  # fmt: skip
        session.answer(block, fields)
