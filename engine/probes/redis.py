from dataclasses import dataclass
from typing import ClassVar

from engine.parameters import param
from engine.probes import GOOD, MARK, Leads, Probe, Reading, Session, View, failed, joining
from engine.samples import Status
from engine.target import Node
from engine.wire import Lost, WireError
from engine.wire.redis import Redis as Client
from engine.wire.redis import ServerError, encode

ROLE = encode("ROLE")
LEFT = ("READONLY", "NOREPLICAS")  # a replica, and an old primary that nobody follows any more
REQUESTS = {
    "ping": encode("PING"),
    "write": encode("SET", f"{MARK}:probe", "1", "EX", 60),
    "role": ROLE,
}


@dataclass(frozen=True)
class Redis(Probe):
    """Asks a Redis or Valkey server; `write` is answered well by the primary only."""

    check: str = param(
        "write",
        choices=("write", "ping", "role"),
        help=f"write: sets the key {MARK}:probe; ping: any server that answers; role: is it the primary",
    )
    nodes: str = joining()
    leads: ClassVar[bool] = True

    @classmethod
    def reach(cls) -> Probe:
        return cls(check="ping")

    def session(self, node: Node) -> Session:
        me = _identity(node.upstream or node.address)
        return _Session(self.check, Client(node.host, node.port), me)


@dataclass(frozen=True)
class _Session(Session, Leads):
    check: str
    client: Client
    me: str

    async def look(self) -> Reading:
        try:
            reply = await self.client.exchange(REQUESTS[self.check])
        except ServerError as error:
            return Reading(False, str(error), Status.STANDBY if str(error).startswith(LEFT) else Status.BAD)
        except WireError as error:
            return failed(error)
        if self.check == "role" and reply[0] != b"master":
            return Reading(False, f"the role is {reply[0].decode()}", Status.STANDBY)
        return GOOD

    async def view(self) -> View:
        try:
            reply = await self.client.exchange(ROLE)
        except ServerError as error:
            raise Lost(str(error)) from None
        if reply[0] == b"master":
            return View(self.me, self.me, position=reply[1])
        position = reply[4] if reply[0] == b"slave" and reply[4] >= 0 else None
        if reply[0] == b"slave" and reply[3] in (b"connected", b"sync"):
            return View(self.me, _identity(f"{reply[1].decode()}:{reply[2]}"), position=position)
        return View(self.me, None, position=position)

    async def version(self) -> str:
        try:
            reply = await self.client.exchange(encode("INFO", "server"))
        except ServerError:
            return ""
        told = dict(line.split(":", 1) for line in reply.decode().splitlines() if ":" in line)
        if "valkey_version" in told:
            return f"Valkey {told['valkey_version']}"
        return f"Redis {told['redis_version']}" if "redis_version" in told else ""

    async def close(self) -> None:
        await self.client.close()


def _identity(address: str) -> str:
    return address.replace("localhost:", "127.0.0.1:")
