import asyncio
from dataclasses import dataclass

from engine.probes import GOOD, Probe, Reading, Session, failed, joining
from engine.target import Node
from engine.wire import NotConnected, reason


@dataclass(frozen=True)
class Tcp(Probe):
    """Opens a connection and closes it."""

    nodes: str = joining()

    def session(self, node: Node) -> Session:
        return _Session(node.host, node.port)


@dataclass(frozen=True)
class _Session(Session):
    host: str
    port: int

    async def look(self) -> Reading:
        loop = asyncio.get_running_loop()
        try:
            transport, _ = await loop.create_connection(asyncio.Protocol, self.host, self.port)
        except OSError as error:
            return failed(NotConnected(reason(error)))
        transport.abort()
        return GOOD

    async def close(self) -> None:
        pass
