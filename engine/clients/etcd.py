import asyncio
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import orjson

from engine.calls import MISMATCH, Answer, Call, Place, Use
from engine.clients import LIFETIME, Client, Failed, Kept, Unknown
from engine.clients._over_http import OverHttp
from engine.target import Target
from engine.wire.http import Http

REFUSALS = (  # etcd's words for what it did not even propose, or rejected when it was applied
    "no leader", "proposal dropped", "too many requests", "database space exceeded", "request is too large",
    "requested lease not found",
)  # fmt: skip
CONFLICT = "somebody else changed it meanwhile"
WHAT = ("register", "cas-register", "kv", "set", "queue", "counter", "bank", "list-append", "rw-register")
Json = dict[str, Any]


@dataclass(frozen=True)
class Etcd(Client):
    """Keys under a prefix in etcd, over the JSON gateway of one member at a time.

    Versions are etcd's revisions. Reads from replicas are etcd's serializable reads: what the member itself has.
    What etcd cannot do at once (append, add, transfer, transactions) is read, and then written only if nothing of
    that changed meanwhile; else it failed.
    """

    keeps: ClassVar[frozenset[str]] = frozenset(WHAT)

    def open(self, target: Target, use: Use) -> Kept:
        return _Kept(target, use)


@dataclass(eq=False)
class _Kept(Kept):
    """All keys hang on one lease: what is left behind where this process dies goes away by itself."""

    target: Target
    use: Use
    lease: str = ""

    @property
    def prefix(self) -> str:
        return f"{self.use.prefix}/"

    def session(self, number: int, *, last: bool = False) -> "_Session":
        members = [Http(node.host, node.port, connections=2) for node in self.target.nodes]
        own = self.use.read_from == "replicas" and not last
        return _Session(self.target, members, Place(len(members), number, self.use.placement), self, own)

    async def prepare(self) -> None:
        self.lease = str((await self._once("/v3/lease/grant", {"TTL": LIFETIME}))["ID"])
        for key, value in self.use.given.items():
            await self._once("/v3/kv/put", self.put(key, value))

    async def remove(self) -> None:
        await self._once("/v3/kv/deleterange", self.range())
        await self._once("/v3/lease/revoke", {"ID": self.lease})

    def range(self) -> Json:
        """All keys."""
        end = self.prefix[:-1] + chr(ord(self.prefix[-1]) + 1)
        return {"key": _encoded(self.prefix), "range_end": _encoded(end)}

    def key(self, name: object) -> str:
        return _encoded(f"{self.prefix}{name}")

    def put(self, name: object, value: Any) -> Json:
        return {
            "key": self.key(name), "value": b64encode(orjson.dumps(value)).decode(), "lease": self.lease,
        }  # fmt: skip

    async def _once(self, path: str, body: Json) -> Json:
        """At the first member that answers: these may be repeated."""
        session = self.session(0)
        session.place.placement = "failover"
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
class _Session(OverHttp):
    kept: _Kept
    own: bool  # reads are what the member itself has

    async def call(self, call: Call) -> Answer:
        return await DO[call.f](self, call)

    # Registers and texts

    async def _read(self, call: Call) -> Answer:
        what = self.kept.use.what
        if what in ("set", "bank"):
            return await self._read_all(what)
        value, revision = await self._get(str(call.key))
        if what == "counter":
            return Answer(value or 0)
        return Answer(value, revision)

    async def _write(self, call: Call) -> Answer:
        answer = await self.post("/v3/kv/put", self.kept.put(call.key, call.value))
        return Answer(call.value, _revision(answer))

    async def _cas(self, call: Call) -> Answer:
        old, new = call.value
        same = {"key": self.kept.key(call.key), "target": "VALUE", "value": _json(old)}
        put = {"request_put": self.kept.put(call.key, new)}
        answer = await self.post("/v3/kv/txn", {"compare": [same], "success": [put]})
        if not answer.get("succeeded"):
            raise Failed(MISMATCH)
        return Answer(call.value, _revision(answer))

    async def _append(self, call: Call) -> Answer:
        there, revision = await self._get(str(call.key), sure=True)
        return Answer(
            call.value, await self._if_same({str(call.key): revision}, {call.key: (there or "") + call.value})
        )

    # Sets, queues, counters, accounts

    async def _add(self, call: Call) -> Answer:
        if self.kept.use.what == "set":
            await self.post("/v3/kv/put", self.kept.put(call.value, 1))
            return Answer(call.value)
        there, revision = await self._get(str(call.key), sure=True)
        await self._if_same({str(call.key): revision}, {call.key: (there or 0) + call.value})
        return Answer(call.value)

    async def _read_all(self, what: str) -> Answer:
        every = await self._all({"keys_only": what == "set"}, sure=False)
        start = len(self.kept.prefix)
        if what == "set":
            return Answer(sorted(int(b64decode(kv["key"])[start:]) for kv in every))
        return Answer({b64decode(kv["key"])[start:].decode(): _value(kv) for kv in every})

    async def _transfer(self, call: Call) -> Answer:
        source, to, amount = (call.value[name] for name in ("from", "to", "amount"))
        found = await self._get_all([source, to])
        (had, before), (has, also) = found[source], found[to]
        if had < amount:
            raise Failed("not enough in the account")
        await self._if_same({source: before, to: also}, {source: had - amount, to: has + amount})
        return Answer(call.value)

    async def _enqueue(self, call: Call) -> Answer:
        await self.post("/v3/kv/put", self.kept.put(call.value, call.value))
        return Answer(call.value)

    async def _dequeue(self, call: Call) -> Answer:
        first = {"limit": 1, "sort_order": "ASCEND", "sort_target": "CREATE"}
        every = await self._all(first, sure=True)
        if not every:
            return Answer(None)
        compare = {"key": every[0]["key"], "target": "MOD", "mod_revision": every[0]["mod_revision"]}
        taken = {"request_delete_range": {"key": every[0]["key"]}}
        await self._only_if([compare], [taken])
        return Answer(_value(every[0]))

    async def _drain(self, call: Call) -> Answer:
        """Reads in the order of their coming and deletes: one transaction of etcd."""
        whole = self.kept.range()
        look = {"request_range": {**whole, "sort_order": "ASCEND", "sort_target": "CREATE"}}
        answer = await self.post("/v3/kv/txn", {"success": [look, {"request_delete_range": whole}]})
        return Answer([_value(kv) for kv in answer["responses"][0]["response_range"].get("kvs", ())])

    # Transactions

    async def _txn(self, call: Call) -> Answer:
        """Everything that it touches is read at one revision; it takes place only if none of that changed."""
        found = await self._get_all(list(dict.fromkeys(key for _, key, _ in call.value)))
        there: Json = {key: value for key, (value, _) in found.items()}
        done, changed = [], dict[str, Any]()
        for f, key, value in call.value:
            if f != "r":
                changed[key] = there[key] = [*(there[key] or ()), value] if f == "append" else value
            done.append([f, key, there[key] if f == "r" else value])
        if changed:
            await self._if_same({key: revision for key, (_, revision) in found.items()}, changed)
        return Answer(done)

    # Requests

    async def _get(self, name: str, *, sure: bool = False) -> tuple[Any, int]:
        """Value and revision; null and 0 where there is none. `sure` asks the leader in any case."""
        answer = await self._look(
            "/v3/kv/range", {"key": self.kept.key(name), "serializable": self.own and not sure}
        )
        kvs = answer.get("kvs", ())
        return (_value(kvs[0]), int(kvs[0]["mod_revision"])) if kvs else (None, 0)

    async def _all(self, how: Json, *, sure: bool) -> list[Json]:
        own = self.own and not sure
        answer = await self._look("/v3/kv/range", {**self.kept.range(), **how, "serializable": own})
        return list(answer.get("kvs", ()))

    async def _get_all(self, names: list[str]) -> dict[str, tuple[Any, int]]:
        """Of each the value and revision, all at one moment."""
        looks = [{"request_range": {"key": self.kept.key(name)}} for name in names]
        answer = await self._look("/v3/kv/txn", {"success": looks})
        found = {}
        for name, one in zip(names, answer["responses"], strict=True):
            kvs = one["response_range"].get("kvs", ())
            found[name] = (_value(kvs[0]), int(kvs[0]["mod_revision"])) if kvs else (None, 0)
        return found

    async def _if_same(self, revisions: dict[str, int], changed: dict[Any, Any]) -> int:
        """Puts only where nothing has changed since; raises Failed where something has. The new revision."""
        compare = [
            {"key": self.kept.key(name), "target": "MOD", "mod_revision": str(revision)}
            for name, revision in revisions.items()
        ]
        return await self._only_if(
            compare, [{"request_put": self.kept.put(k, v)} for k, v in changed.items()]
        )

    async def _only_if(self, compare: list[Json], then: list[Json]) -> int:
        answer = await self.post("/v3/kv/txn", {"compare": compare, "success": then})
        if not answer.get("succeeded"):
            raise Failed(CONFLICT)
        return _revision(answer)

    async def _look(self, path: str, body: Json) -> Json:
        """As `post`; a look changes nothing, so that one without an answer has failed."""
        try:
            return await self.post(path, body)
        except Unknown as unknown:
            raise Failed(str(unknown)) from None
        except asyncio.CancelledError:
            raise Failed("no answer in time") from None

    async def post(self, path: str, body: Json) -> Json:
        """At the present member; after anything but a success the next one is taken."""
        with self.present() as member:
            answer = await member.request("POST", path, orjson.dumps(body))
            return _answered(answer.status, answer.body)


DO: dict[str, Callable[[_Session, Call], Awaitable[Answer]]] = {
    "read": _Session._read, "write": _Session._write, "cas": _Session._cas, "get": _Session._read,
    "put": _Session._write, "append": _Session._append, "add": _Session._add, "enqueue": _Session._enqueue,
    "dequeue": _Session._dequeue, "drain": _Session._drain, "transfer": _Session._transfer, "txn": _Session._txn,
}  # fmt: skip


def _answered(status: int, body: bytes) -> Json:
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        data = None
    if not isinstance(data, dict):
        raise Unknown(f"status {status}, and not the answer of an etcd member")
    if status != 200:
        message = str(data.get("message") or data.get("error"))
        raise (Failed if any(word in message for word in REFUSALS) else Unknown)(message)
    return data


def _revision(answer: Json) -> int:
    return int(answer["header"]["revision"])


def _value(kv: Json) -> Any:
    return orjson.loads(b64decode(kv["value"]))


def _json(value: Any) -> str:
    return b64encode(orjson.dumps(value)).decode()


def _encoded(key: str) -> str:
    return b64encode(key.encode()).decode()
