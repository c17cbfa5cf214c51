import asyncio
from dataclasses import dataclass, field
from typing import Any, ClassVar

from engine.clients import LIFETIME, Client, Failed, Kept, Session, Unknown, ended
from engine.target import Target
from engine.wire import WireError
from engine.wire.redis import Redis as Connection
from engine.wire.redis import ServerError

REFUSALS = (
    "READONLY", "LOADING", "MASTERDOWN", "NOREPLICAS", "MISCONF", "OOM", "NOAUTH", "NOPERM", "WRONGTYPE",
    "CLUSTERDOWN", "MOVED",
)  # fmt: skip
FIND = 0.5  # seconds for a node to say whether it is the primary


@dataclass(frozen=True)
class Redis(Client):
    """A set in a Redis or Valkey key, written and read at whichever node says that it is the primary."""

    keeps: ClassVar[frozenset[str]] = frozenset({"set"})

    def open(self, target: Target, what: str, key: str) -> Kept:
        return _Kept(target, key)


@dataclass(frozen=True)
class _Kept(Kept):
    target: Target
    key: str

    def session(self, number: int) -> "_Session":
        return _Session(self.key, [Connection(node.host, node.port) for node in self.target.nodes])

    async def prepare(self) -> None:
        """The key comes into being with its first element."""

    async def remove(self) -> None:
        session = self.session(0)
        try:
            await session.at_primary("UNLINK", self.key)
        finally:
            await session.close()


@dataclass(eq=False)
class _Session(Session):
    key: str
    nodes: list[Connection]
    primary: Connection | None = None
    expiring: "asyncio.Task[None] | None" = field(default=None)

    async def call(self, f: str, value: Any) -> Any:
        if f == "add":
            await self.at_primary("SADD", self.key, value)
            if self.expiring is None:
                self.expiring = asyncio.get_running_loop().create_task(self._expire())
            return value
        self.primary = None  # the last word is the present primary's
        return sorted(int(member) for member in await self.at_primary("SMEMBERS", self.key))

    async def at_primary(self, *command: str | int) -> Any:
        primary = self.primary = self.primary or await self._find()
        try:
            return await primary.call(*command)
        except ServerError as error:
            self.primary = None
            raise (Failed if str(error).startswith(REFUSALS) else Unknown)(str(error)) from None
        except WireError as error:
            self.primary = None
            raise ended(error) from None
        except asyncio.CancelledError:
            self.primary = None
            raise

    async def _find(self) -> Connection:
        """The node that says it is the primary; of several the one that most replicas follow."""
        try:
            claims = await asyncio.gather(*(_claim(node) for node in self.nodes))
        except asyncio.CancelledError:
            raise Failed("no primary found in time") from None
        best = max(claims)
        if best < 0:
            raise Failed("no node says that it is the primary")
        return self.nodes[claims.index(best)]

    async def _expire(self) -> None:
        """What is left behind where this process dies goes away by itself."""
        try:
            await self.at_primary("EXPIRE", self.key, LIFETIME)
        except (Failed, Unknown):
            self.expiring = None  # with the next element

    async def close(self) -> None:
        if self.expiring:
            self.expiring.cancel()
        for node in self.nodes:
            await node.close()


async def _claim(node: Connection) -> int:
    """How many replicas follow it, as far as it knows; -1 where it is no primary."""
    try:
        async with asyncio.timeout(FIND):
            reply = await node.call("ROLE")
    except (WireError, ServerError, TimeoutError):
        return -1
    return len(reply[2]) if reply[0] == b"master" else -1
