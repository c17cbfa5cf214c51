import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import Any

from engine.parameters import param
from engine.probes import GOOD, Probe, Reading, Session, failed, joining
from engine.target import Node
from engine.wire import Lost, NotConnected

STATES = {0: "unknown", 1: "serving", 2: "not serving", 3: "unknown service"}
OPTIONS = [("grpc.enable_http_proxy", 0), ("grpc.initial_reconnect_backoff_ms", 100),
           ("grpc.min_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 500)]  # fmt: skip


@dataclass(frozen=True)
class Grpc(Probe):
    """Asks gRPC's standard health service."""

    service: str = param("", help="whose health is asked for; the server as a whole if empty")
    nodes: str = joining()

    def session(self, node: Node) -> Session:
        name = self.service.encode()
        return _Session(node.address, b"\x0a" + bytes([len(name)]) + name if name else b"")

    def __post_init__(self) -> None:
        if len(self.service.encode()) > 127:
            raise ValueError("service: a name of at most 127 bytes")


@dataclass
class _Session(Session):
    address: str
    request: bytes
    channel: Any = field(default=None, init=False)

    async def look(self) -> Reading:
        import grpc

        if self.channel is None:
            self.channel = grpc.aio.insecure_channel(self.address, options=OPTIONS)
        check = self.channel.unary_unary("/grpc.health.v1.Health/Check")
        try:
            answer: bytes = await check(self.request)
        except grpc.aio.AioRpcError as error:
            return _failed(error)
        state = answer[1] if answer[:1] == b"\x08" and len(answer) == 2 else 0
        return (
            GOOD if state == 1 else Reading(False, f"the service says that it is {STATES.get(state, state)}")
        )

    async def close(self) -> None:
        if self.channel is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await self.channel.close()


def _failed(error: Any) -> Reading:
    text = str(error.details() or error.code().name.lower())
    if error.code().name != "UNAVAILABLE":
        return Reading(False, text)
    if "refused" in text:
        return failed(NotConnected("connection refused"))
    return failed(Lost(text))
