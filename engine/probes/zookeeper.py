from dataclasses import dataclass, field
from typing import Any, ClassVar

import orjson

from engine.parameters import param
from engine.probes import GOOD, Leads, Probe, Reading, Session, View, failed, joining
from engine.target import Node
from engine.wire import Lost, WireError
from engine.wire.http import Http as Pool
from engine.wire.once import ask

ADMIN = 8080 - 2181  # from where clients come to where the admin server listens, as both are by default


@dataclass(frozen=True)
class Zookeeper(Probe):
    """Asks a ZooKeeper server by its four-letter words; who leads is asked of its admin server."""

    check: str = param(
        "serves",
        choices=("serves", "ruok"),
        help="serves: srvr, which only a server with a majority answers well; ruok: is the process there",
    )
    admin: int | None = param(
        None, help="the port of its admin server; if empty, as far from its own as 8080 is from 2181",
        least=1, most=65535,
    )  # fmt: skip
    nodes: str = joining()
    leads: ClassVar[bool] = True

    @classmethod
    def reach(cls) -> Probe:
        return cls()

    def session(self, node: Node) -> Session:
        host, _, port = (node.upstream or node.address).rpartition(":")
        pool = Pool(host.strip("[]"), self.admin or int(port) + ADMIN, connections=2)
        return _Session(self.check, node.host, node.port, pool)


@dataclass
class _Session(Session, Leads):
    check: str
    host: str
    port: int
    admin: Pool
    me: str = field(default="", init=False)

    async def look(self) -> Reading:
        word = b"ruok" if self.check == "ruok" else b"srvr"
        try:
            text = (await ask(self.host, self.port, word)).decode(errors="replace")
        except WireError as error:
            return failed(error)
        if text == "imok" or "\nMode: " in text:
            return GOOD
        return Reading(False, text.strip()[:200] or "not the answer of a ZooKeeper server")

    async def view(self) -> View:
        self.me = self.me or str((await self._command("conf")).get("server_id", ""))
        leader = (await self._command("leader")).get("leader_id")
        return View(self.me, None if leader is None else str(leader))

    async def _command(self, name: str) -> dict[str, Any]:
        answer = await self.admin.request("GET", f"/commands/{name}")
        try:
            found = orjson.loads(answer.body)
            return {} if found.get("error") else dict(found)
        except (orjson.JSONDecodeError, AttributeError):
            raise Lost("not the answer of a ZooKeeper admin server") from None

    async def close(self) -> None:
        await self.admin.close()
