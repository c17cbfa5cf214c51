from dataclasses import dataclass
from typing import ClassVar

import orjson

from engine.parameters import param
from engine.probes import GOOD, Leads, Probe, Reading, Session, View, failed, joining
from engine.target import Node
from engine.wire import Lost, WireError
from engine.wire.http import Http as Pool
from engine.wire.once import ask

MONITOR = 8222 - 4222  # from where clients come to where it is monitored, as both are by default
HELLO = b'CONNECT {"verbose":false,"lang":"chaosboard","version":"1"}\r\nPING\r\n'


@dataclass(frozen=True)
class Nats(Probe):
    """Asks a NATS server; who leads JetStream is asked of its monitoring server."""

    check: str = param(
        "ping",
        choices=("ping", "health"),
        help="ping: the server answers a client; health: its own word, JetStream and all",
    )
    monitor: int | None = param(
        None, help="the port of its monitoring server; if empty, as far from its own as 8222 is from 4222",
        least=1, most=65535,
    )  # fmt: skip
    nodes: str = joining()
    leads: ClassVar[bool] = True

    @classmethod
    def reach(cls) -> Probe:
        return cls(check="ping")

    def session(self, node: Node) -> Session:
        host, _, port = (node.upstream or node.address).rpartition(":")
        pool = Pool(host.strip("[]"), self.monitor or int(port) + MONITOR, connections=4)
        return _Session(self.check, node.host, node.port, pool)


@dataclass(frozen=True)
class _Session(Session, Leads):
    check: str
    host: str
    port: int
    monitor: Pool

    async def look(self) -> Reading:
        try:
            if self.check == "ping":
                return _reading(await ask(self.host, self.port, HELLO, _answered))
            answer = await self.monitor.request("GET", "/healthz")
        except WireError as error:
            return failed(error)
        text = answer.body.decode(errors="replace").strip()[:200]
        return GOOD if answer.status == 200 else Reading(False, f"status {answer.status}: {text}")

    async def view(self) -> View:
        try:
            me = str(orjson.loads((await self.monitor.request("GET", "/varz")).body)["server_name"])
            found = orjson.loads((await self.monitor.request("GET", "/jsz")).body)
            return View(me, (found.get("meta_cluster") or {}).get("leader") or None)
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
            raise Lost("not the answer of a NATS monitoring server") from None

    async def close(self) -> None:
        await self.monitor.close()


def _answered(data: bytes) -> bool:
    return b"PONG\r\n" in data or b"-ERR" in data


def _reading(data: bytes) -> Reading:
    if b"PONG\r\n" in data and data.startswith(b"INFO "):
        return GOOD
    _, wrong, text = data.partition(b"-ERR")
    said = text.split(b"\r\n")[0].decode(errors="replace").strip()
    return Reading(False, said if wrong else "not the answer of a NATS server")
