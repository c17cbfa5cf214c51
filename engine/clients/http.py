from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import orjson

from engine.calls import Answer, Call, Place, Use
from engine.clients import Client, Failed, Kept, Unknown
from engine.clients._over_http import OverHttp
from engine.parameters import param
from engine.target import Target
from engine.wire.http import Http as Connection
from engine.wire.http import Response

READS, WRITES = ("read", "get"), ("write", "put")


@dataclass(frozen=True)
class Http(Client):
    """Any key-value service over HTTP: how a key is read and written is told by templates with {key} and {value}."""

    read: str = param("GET /{key}", help="method and path of a read")
    write: str = param("PUT /{key}", help="method and path of a write")
    body: str = param("{value}", help="what a write sends")
    headers: dict[str, Any] = param({}, help="sent with each request, as in {Content-Type: application/json}")
    value: str = param(
        "", help="where the value is in the answer of a read, as in node.value; empty: the whole body"
    )
    version: str = param("", help="where the version is in an answer; empty: it tells none")
    missing: list[str] = param(["404"], help="statuses that say of a read that nothing is there")
    fails: list[str] = param(
        ["400", "401", "403", "404", "405", "409", "412", "413", "422", "429"],
        help="statuses that say of a write that it certainly did not happen; any other but 2xx leaves that open",
    )
    remove: str = param(
        "DELETE /{key}", help="method and path that remove a key after the run; empty: it stays"
    )
    keeps: ClassVar[frozenset[str]] = frozenset({"register", "kv"})
    replicas: ClassVar[str] = (
        "over HTTP every node is asked alike; leave read_from at leader, and choose a placement"
    )

    def __post_init__(self) -> None:
        for name in ("read", "write", "remove"):
            method, _, path = getattr(self, name).partition(" ")
            if getattr(self, name) and (not method.isalpha() or not path.startswith("/")):
                raise ValueError(f"{name} must be a method and a path, as in GET /kv/{{key}}, not {method!r}")
            if getattr(self, name) and "{key}" not in getattr(self, name):
                raise ValueError(f"{name} must name the {{key}}, as in GET /kv/{{key}}")

    def open(self, target: Target, use: Use) -> Kept:
        return _Kept(self, target, use)


@dataclass(eq=False)
class _Kept(Kept):
    client: Http
    target: Target
    use: Use

    def key(self, name: object) -> str:
        """Without a slash: not every service takes one in a key."""
        return f"{self.use.prefix}-{name}".replace("/", "-")

    def session(self, number: int, *, last: bool = False) -> "_Session":
        nodes = [Connection(node.host, node.port, connections=2) for node in self.target.nodes]
        return _Session(self.target, nodes, Place(len(nodes), number, self.use.placement), self)

    async def prepare(self) -> None:
        """Keys come into being with their first value."""

    async def remove(self) -> None:
        if not self.client.remove:
            return
        session = self.session(0)
        try:
            for key in self.use.keys:
                await session.ask(self.client.remove, self.key(key))
        finally:
            await session.close()


@dataclass(eq=False)
class _Session(OverHttp):
    kept: _Kept

    async def call(self, call: Call) -> Answer:
        key, client = self.kept.key(call.key), self.kept.client
        if call.f in READS:
            return self._read(await self._look(client.read, key))
        if call.f not in WRITES:
            raise Failed(f"a service over HTTP has no {call.f}")
        answer = await self.ask(client.write, key, client.body.replace("{value}", _text(call.value)))
        if not _good(answer):
            sure = str(answer.status) in client.fails
            raise (Failed if sure else Unknown)(f"status {answer.status}")
        return Answer(
            call.value, _number(_part(_json(answer.body), client.version)) if client.version else None
        )

    def _read(self, answer: Response) -> Answer:
        client = self.kept.client
        if str(answer.status) in client.missing:
            return Answer(None)
        if not _good(answer):
            raise Failed(f"status {answer.status}")
        data = _json(answer.body) if client.value or client.version else None
        found = _part(data, client.value) if client.value else answer.body.decode(errors="replace")
        return Answer(self._value(found), _number(_part(data, client.version)) if client.version else None)

    def _value(self, found: Any) -> Any:
        """Registers hold whole numbers, which a service may give back as text."""
        if self.kept.use.what == "register" and isinstance(found, str):
            return int(found) if found.strip().lstrip("-").isdecimal() else found
        return found

    async def _look(self, template: str, key: str) -> Response:
        try:
            return await self.ask(template, key)
        except Unknown as unknown:
            raise Failed(str(unknown)) from None  # a look changes nothing

    async def ask(self, template: str, key: str, body: str = "") -> Response:
        method, _, path = template.partition(" ")
        headers: Mapping[str, str] = {name: str(value) for name, value in self.kept.client.headers.items()}
        with self.present() as node:
            answer = await node.request(method, path.replace("{key}", key), body.encode(), headers)
        if answer.status >= 500:
            self.place.failed()
        return answer


def _good(answer: Response) -> bool:
    return 200 <= answer.status < 300


def _text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Unknown("the answer is no JSON") from None


def _part(data: Any, path: str) -> Any:
    """`a.0.b` of the answer; null where there is no such part."""
    for name in path.split("."):
        if isinstance(data, list) and name.isdecimal() and int(name) < len(data):
            data = data[int(name)]
        elif isinstance(data, dict) and name in data:
            data = data[name]
        else:
            return None
    return data


def _number(found: Any) -> int | None:
    text = str(found)
    return int(text) if text.isdecimal() else None
