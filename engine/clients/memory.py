import asyncio
from dataclasses import dataclass, field
from typing import Any, ClassVar

from engine.clients import Client, Failed, Kept, Session
from engine.simulated import wrong
from engine.target import Target

PAUSE = 0.002


@dataclass(frozen=True)
class Memory(Client):
    """A set in this process, served by whichever simulated node is not down."""

    keeps: ClassVar[frozenset[str]] = frozenset({"set"})

    def open(self, target: Target, what: str, key: str) -> Kept:
        return _Kept(target)


@dataclass(frozen=True)
class _Kept(Kept):
    target: Target
    members: set[Any] = field(default_factory=set)

    def session(self, number: int) -> Session:
        return _Session(self)

    async def prepare(self) -> None:
        self.members.clear()

    async def remove(self) -> None:
        self.members.clear()


@dataclass(frozen=True)
class _Session(Session):
    kept: _Kept

    async def call(self, f: str, value: Any) -> Any:
        up = [node for node in self.kept.target.nodes if not wrong(node).get("down")]
        if not up:
            raise Failed("connection refused")
        while wrong(up[0]).get("paused"):
            await asyncio.sleep(PAUSE)
        if f == "read":
            return sorted(self.kept.members)
        self.kept.members.add(value)
        return value

    async def close(self) -> None:
        pass
