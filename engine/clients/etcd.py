from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import Any, ClassVar

import orjson

from engine.clients import LIFETIME, Client, Failed, Kept, Session, Unknown, ended
from engine.target import Target
from engine.wire import WireError
from engine.wire.http import Http

REFUSALS = (  # etcd's words for what it did not even propose, or rejected when it was applied
    "no leader", "proposal dropped", "too many requests", "database space exceeded", "request is too large",
    "requested lease not found",
)  # fmt: skip


@dataclass(frozen=True)
class Etcd(Client):
    """A set of keys under a prefix in etcd, put and read over the JSON gateway of one member at a time."""

    keeps: ClassVar[frozenset[str]] = frozenset({"set"})

    def open(self, target: Target, what: str, key: str) -> Kept:
        return _Kept(target, f"{key}/")


@dataclass(eq=False)
class _Kept(Kept):
    """All keys hang on one lease: what is left behind where this process dies goes away by itself."""

    target: Target
    prefix: str
    lease: str = ""

    def session(self, number: int) -> "_Session":
        members = [Http(node.host, node.port, connections=2) for node in self.target.nodes]
        return _Session(self, members, number % len(members))

    async def prepare(self) -> None:
        self.lease = str((await self._once("/v3/lease/grant", {"TTL": LIFETIME}))["ID"])

    async def remove(self) -> None:
        await self._once("/v3/kv/deleterange", self.range())
        await self._once("/v3/lease/revoke", {"ID": self.lease})

    def range(self) -> dict[str, Any]:
        end = self.prefix[:-1] + chr(ord(self.prefix[-1]) + 1)
        return {"key": _encoded(self.prefix), "range_end": _encoded(end)}

    async def _once(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """At the first member that answers: these may be repeated."""
        session = self.session(0)
        try:
            for _ in self.target.nodes[1:]:
                try:
                    return await session.post(path, body)
                except (Failed, Unknown):
                    continue
            return await session.post(path, body)
        finally:
            await session.close()


@dataclass(eq=False)
class _Session(Session):
    kept: _Kept
    members: list[Http]
    at: int

    async def call(self, f: str, value: Any) -> Any:
        if f == "add":
            key = _encoded(f"{self.kept.prefix}{value}")
            await self.post("/v3/kv/put", {"key": key, "lease": self.kept.lease})
            return value
        answer = await self.post("/v3/kv/range", {**self.kept.range(), "keys_only": True})
        start = len(self.kept.prefix)
        return sorted(int(b64decode(kv["key"])[start:]) for kv in answer.get("kvs", ()))

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """At the present member; after anything but a success the next one is taken."""
        member = self.members[self.at]
        self.at = (self.at + 1) % len(self.members)
        try:
            answer = await member.request("POST", path, orjson.dumps(body))
        except WireError as error:
            raise ended(error) from None
        try:
            data = orjson.loads(answer.body)
        except orjson.JSONDecodeError:
            data = None
        if not isinstance(data, dict):
            raise Unknown(f"status {answer.status}, and not the answer of an etcd member")
        if answer.status != 200:
            message = str(data.get("message") or data.get("error"))
            raise (Failed if any(word in message for word in REFUSALS) else Unknown)(message)
        self.at = self.members.index(member)
        return data

    async def close(self) -> None:
        for member in self.members:
            await member.close()


def _encoded(key: str) -> str:
    return b64encode(key.encode()).decode()
