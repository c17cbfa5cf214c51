import asyncio
from dataclasses import dataclass

from engine.probes import GOOD, Probe, Reading, Session, joining
from engine.samples import Status
from engine.simulated import wrong
from engine.target import Node

REFUSED = Reading(False, "connection refused", Status.CONNECTION)
PAUSE = 0.002


@dataclass(frozen=True)
class Memory(Probe):
    """Looks at a simulated node: one that is down refuses, one that is paused answers when it runs on."""

    nodes: str = joining()

    def session(self, node: Node) -> Session:
        return _Session(node)


@dataclass(frozen=True)
class _Session(Session):
    node: Node

    async def look(self) -> Reading:
        while (now := wrong(self.node)).get("paused"):
            await asyncio.sleep(PAUSE)
        return REFUSED if now.get("down") else GOOD

    async def close(self) -> None:
        pass
