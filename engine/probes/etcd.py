from base64 import b64encode
from dataclasses import dataclass
from typing import Any, ClassVar

import orjson

from engine.parameters import param
from engine.probes import GOOD, MARK, Leads, Probe, Reading, Session, View, failed, joining
from engine.target import Node
from engine.wire import Lost, WireError
from engine.wire.http import Http as Pool
from engine.wire.http import encode

KEY = b64encode(f"{MARK}/probe".encode()).decode()
REQUESTS: dict[str, tuple[str, str, dict[str, Any] | None]] = {
    "read": ("POST", "/v3/kv/range", {"key": KEY}),
    "write": ("POST", "/v3/kv/put", {"key": KEY, "value": b64encode(b"1").decode()}),
    "health": ("GET", "/health", None),
    "status": ("POST", "/v3/maintenance/status", {}),
}


@dataclass(frozen=True)
class Etcd(Probe):
    """Asks an etcd member over its JSON gateway; a linearizable read needs a leader and a majority."""

    check: str = param(
        "read",
        choices=("read", "write", "health", "status"),
        help=f"read: a linearizable read; write: puts the key {MARK}/probe; health: the member's own word; "
        "status: any answer of the member",
    )
    connections: int = param(64, help="how many connections are kept to one node", least=1, most=1024)
    nodes: str = joining()
    leads: ClassVar[bool] = True

    @classmethod
    def reach(cls) -> Probe:
        return cls(check="status")

    def session(self, node: Node) -> Session:
        pool = Pool(node.host, node.port, connections=self.connections)
        return _Session(pool, _request(self.check, node), _request("status", node))


def _request(name: str, node: Node) -> bytes:
    method, path, body = REQUESTS[name]
    return encode(method, node.address, path, b"" if body is None else orjson.dumps(body))


@dataclass(frozen=True)
class _Session(Session, Leads):
    pool: Pool
    request: bytes
    status: bytes

    async def look(self) -> Reading:
        try:
            answer = await self.pool.exchange(self.request)
        except WireError as error:
            return failed(error)
        if answer.status == 200:
            return GOOD
        return Reading(False, _text(answer.status, answer.body))

    async def view(self) -> View:
        answer = await self.pool.exchange(self.status)
        if answer.status != 200:
            raise Lost(_text(answer.status, answer.body))
        try:
            data = orjson.loads(answer.body)
            leader = str(data.get("leader", "0"))
            term = int(data["raftTerm"]) if "raftTerm" in data else None
            return View(str(data["header"]["member_id"]), None if leader == "0" else leader, term)
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError):
            raise Lost("not the answer of an etcd member") from None

    async def version(self) -> str:
        answer = await self.pool.exchange(self.status)
        try:
            return f"etcd {orjson.loads(answer.body)['version']}"
        except (orjson.JSONDecodeError, KeyError, TypeError):
            return ""

    async def close(self) -> None:
        await self.pool.close()


def _text(status: int, body: bytes) -> str:
    """etcd's own message where it sends one."""
    try:
        data = orjson.loads(body)
        message = data.get("message") or data.get("error") or data.get("reason")
    except (orjson.JSONDecodeError, AttributeError):
        message = None
    return f"status {status}: {message}" if message else f"status {status}"
