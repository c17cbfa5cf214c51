from base64 import b64encode
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import quote

import orjson

from engine.parameters import param
from engine.probes import GOOD, MARK, Leads, Probe, Reading, Session, View, failed, joining
from engine.target import Node
from engine.wire import Lost, WireError
from engine.wire.http import Http as Pool
from engine.wire.once import ask

MANAGEMENT = 15672 - 5672  # from where clients come to where it is managed, as both are by default
HELLO = b"AMQP\x00\x00\x09\x01"
START = b"\x00\x0a\x00\x0a"  # class connection, method start: at byte 7 of the first frame


@dataclass(frozen=True)
class Rabbitmq(Probe):
    """Greets a RabbitMQ node as a client does; who leads a queue is asked of its management API."""

    queue: str = param(MARK, help="the queue whose leader is meant")
    user: str = param("guest", help="the user of the management API")
    password: str = param("guest", help="its password")
    management: int | None = param(
        None, help="the port of the management API; if empty, as far from its own as 15672 is from 5672",
        least=1, most=65535,
    )  # fmt: skip
    nodes: str = joining()
    leads: ClassVar[bool] = True

    def session(self, node: Node) -> Session:
        host, _, port = (node.upstream or node.address).rpartition(":")
        pool = Pool(host.strip("[]"), self.management or int(port) + MANAGEMENT, connections=4)
        return _Session(self, node.host, node.port, pool)


@dataclass(frozen=True)
class _Session(Session, Leads):
    probe: Rabbitmq
    host: str
    port: int
    management: Pool

    async def look(self) -> Reading:
        try:
            data = await ask(self.host, self.port, HELLO, lambda data: len(data) >= 11)
        except WireError as error:
            return failed(error)
        return GOOD if data[7:11] == START else Reading(False, "not the answer of an AMQP 0-9-1 server")

    async def view(self) -> View:
        overview, queue = (
            await self._get("overview"),
            await self._get(f"queues/%2F/{quote(self.probe.queue)}"),
        )
        try:
            return View(str(overview["node"]), queue.get("leader") or None)
        except (KeyError, TypeError, AttributeError):
            raise Lost("not the answer of RabbitMQ's management API") from None

    async def _get(self, path: str) -> Any:
        token = b64encode(f"{self.probe.user}:{self.probe.password}".encode()).decode()
        answer = await self.management.request(
            "GET", f"/api/{path}", headers={"Authorization": f"Basic {token}"}
        )
        try:
            return orjson.loads(answer.body)
        except orjson.JSONDecodeError:
            raise Lost(f"the management API says status {answer.status}") from None

    async def close(self) -> None:
        await self.management.close()
