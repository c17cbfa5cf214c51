import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine import state
from engine.parameters import param
from engine.probes import GOOD, Probe, Reading, Session
from engine.samples import Status
from engine.target import Node

REFUSED = Reading(False, "connection refused", Status.CONNECTION)
PAUSE = 0.002


@dataclass(frozen=True)
class Memory(Probe):
    """Looks at a simulated node: one that is down refuses, one that is paused answers when it runs on."""

    nodes: str = param(
        "any", choices=("any", "all"), help="how many nodes must be good for the service to be"
    )

    def session(self, node: Node) -> Session:
        cluster = node.control_params.get("cluster", "memory")
        return _Session(state.root() / "memory" / f"{cluster}.{node.name}.json")


@dataclass(frozen=True)
class _Session(Session):
    file: Path

    async def look(self) -> Reading:
        while (wrong := self._wrong()).get("paused"):
            await asyncio.sleep(PAUSE)
        return REFUSED if wrong.get("down") else GOOD

    def _wrong(self) -> dict[str, Any]:
        return state.read(self.file) or {}

    async def close(self) -> None:
        pass
