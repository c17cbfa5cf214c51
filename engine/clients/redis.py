import asyncio
from dataclasses import dataclass, field
from typing import Any, ClassVar

from engine.calls import MISMATCH, Answer, Call, Place, Use
from engine.clients import LIFETIME, Client, Failed, Kept, Session, Unknown, ended
from engine.parameters import param
from engine.target import Target
from engine.wire import WireError
from engine.wire.redis import Argument, ServerError
from engine.wire.redis import Redis as Connection

REFUSALS = (
    "READONLY", "LOADING", "MASTERDOWN", "NOREPLICAS", "MISCONF", "OOM", "NOAUTH", "NOPERM", "WRONGTYPE",
    "CLUSTERDOWN", "MOVED",
)  # fmt: skip
FIND = 0.5  # seconds for a node to say whether it is the primary
WHAT = ("register", "cas-register", "kv", "set", "queue", "counter", "bank", "list-append", "rw-register")
CAS = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3]) return 1
"""
TRANSFER = """
if tonumber(redis.call('HGET', KEYS[1], ARGV[1])) < tonumber(ARGV[3]) then return 0 end
redis.call('HINCRBY', KEYS[1], ARGV[1], -ARGV[3]) redis.call('HINCRBY', KEYS[1], ARGV[2], ARGV[3]) return 1
"""
DRAIN = "local all = redis.call('LRANGE', KEYS[1], 0, -1) redis.call('DEL', KEYS[1]) return all"
Command = tuple[Argument, ...]


@dataclass(frozen=True)
class Redis(Client):
    """Keys of Redis or Valkey, written at whichever node says that it is the primary; transactions are scripts."""

    wait: int = param(
        0, help="replicas that must have a write before it counts as acknowledged (WAIT)", least=0, most=16
    )
    wait_timeout: float = param(
        1.0, unit="duration", help="how long WAIT waits for them; then nobody knows", least=0.001, most=60
    )
    keeps: ClassVar[frozenset[str]] = frozenset(WHAT)

    def open(self, target: Target, use: Use) -> Kept:
        return _Kept(self, target, use)


@dataclass(frozen=True)
class _Kept(Kept):
    client: Redis
    target: Target
    use: Use
    used: set[str] = field(default_factory=set)

    def session(self, number: int, *, last: bool = False) -> "_Session":
        nodes = [Connection(node.host, node.port) for node in self.target.nodes]
        place = Place(len(nodes), number, self.use.placement)
        return _Session(self, nodes, place, self.use.read_from == "replicas" and not last, fresh=last)

    def key(self, name: object = None) -> str:
        key = self.use.prefix if name is None else f"{self.use.prefix}/{name}"
        self.used.add(key)
        return key

    async def prepare(self) -> None:
        """Keys come into being with their first value."""
        if self.use.given:
            flat = [part for pair in self.use.given.items() for part in pair]
            await self._once(("HSET", self.key(), *flat), ("EXPIRE", self.key(), LIFETIME))

    async def remove(self) -> None:
        session = self.session(0)
        try:
            for name in sorted(self.used):
                await session.at_primary(("UNLINK", name))
        finally:
            await session.close()

    async def _once(self, *commands: Command) -> None:
        session = self.session(0)
        try:
            await session.at_primary(*commands)
        finally:
            await session.close()


@dataclass(eq=False)
class _Session(Session):
    kept: _Kept
    nodes: list[Connection]
    place: Place
    own: bool  # reads are what the node at `place` itself has
    fresh: bool  # who is the primary is asked each time
    primary: Connection | None = None
    expiring: "asyncio.Task[None] | None" = field(default=None)

    async def call(self, call: Call) -> Answer:
        if self.fresh:
            self.primary = None  # the last word is the present primary's
        return Answer(await getattr(_Do(self), call.f)(call))

    async def change(self, *command: Argument) -> Any:
        """At the primary, and with the replicas that were asked for."""
        return (await self.changes([command]))[0]

    async def changes(self, commands: list[Command]) -> list[Any]:
        client = self.kept.client
        if not client.wait:
            return list(await self.at_primary(*commands, alone=False))
        wait = ("WAIT", client.wait, int(client.wait_timeout * 1000))
        *replies, reached = list(await self.at_primary(*commands, wait, alone=False))
        if reached < client.wait:
            raise Unknown(f"{reached} of {client.wait} replicas had it within {client.wait_timeout:g} s")
        return replies

    async def look(self, *command: Argument) -> Any:
        """A look changes nothing, so that one without an answer has failed."""
        try:
            return await (self._at_own(command) if self.own else self.at_primary(command))
        except Unknown as unknown:
            raise Failed(str(unknown)) from None
        except asyncio.CancelledError:
            raise Failed("no answer in time") from None

    async def _at_own(self, command: Command) -> Any:
        at = self.place.next()
        self.asked = self.kept.target.nodes[at].name
        try:
            return await self.nodes[at].call(*command)
        except (WireError, ServerError) as error:
            self.place.failed()
            raise Failed(str(error)) from None

    async def at_primary(self, *commands: Command, alone: bool = True) -> Any:
        """The reply; those of all commands in order, if not `alone`. They are sent at once, on one connection."""
        primary = self.primary = self.primary or await self._find()
        self.asked = self.kept.target.nodes[self.nodes.index(primary)].name
        try:
            replies = await asyncio.gather(*(primary.call(*command) for command in commands))
        except ServerError as error:
            self.primary = None
            raise (Failed if str(error).startswith(REFUSALS) else Unknown)(str(error)) from None
        except WireError as error:
            self.primary = None
            raise ended(error) from None
        except asyncio.CancelledError:
            self.primary = None
            raise
        return replies[0] if alone else replies

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

    def expire(self) -> None:
        """What is left behind where this process dies goes away by itself."""
        if self.expiring is None:
            self.expiring = asyncio.get_running_loop().create_task(self._expire())

    async def _expire(self) -> None:
        try:
            await self.at_primary(("EXPIRE", self.kept.key(), LIFETIME))
        except (Failed, Unknown):
            self.expiring = None  # with the next element

    async def close(self) -> None:
        if self.expiring:
            self.expiring.cancel()
        for node in self.nodes:
            await node.close()


@dataclass(frozen=True)
class _Do:
    """Each operation, called by its name."""

    session: _Session

    def key(self, call: Call) -> str:
        return self.session.kept.key(call.key)

    async def read(self, call: Call) -> Any:
        what, key = self.session.kept.use.what, self.key(call)
        if what == "set":
            return sorted(int(member) for member in await self.session.look("SMEMBERS", key))
        if what == "bank":
            flat = await self.session.look("HGETALL", key)
            return {name.decode(): int(value) for name, value in zip(flat[::2], flat[1::2], strict=True)}
        found = await self.session.look("GET", key)
        nothing = 0 if what == "counter" else None
        return nothing if found is None else int(found)

    async def get(self, call: Call) -> Any:
        found = await self.session.look("GET", self.key(call))
        return None if found is None else found.decode()

    async def write(self, call: Call) -> Any:
        await self.session.change("SET", self.key(call), call.value, "EX", LIFETIME)
        return call.value

    put = write

    async def cas(self, call: Call) -> Any:
        old, new = call.value
        if not await self.session.change("EVAL", CAS, 1, self.key(call), old, new, LIFETIME):
            raise Failed(MISMATCH)
        return call.value

    async def append(self, call: Call) -> Any:
        await self._lasting("APPEND", self.key(call), call.value)
        return call.value

    async def add(self, call: Call) -> Any:
        if self.session.kept.use.what == "set":
            await self.session.change("SADD", self.key(call), call.value)
            self.session.expire()
        else:
            await self._lasting("INCRBY", self.key(call), call.value)
        return call.value

    async def _lasting(self, f: str, key: str, value: Any) -> None:
        """What is left behind where this process dies goes away by itself."""
        await self.session.changes([(f, key, value), ("EXPIRE", key, LIFETIME)])

    async def transfer(self, call: Call) -> Any:
        source, to, amount = (call.value[name] for name in ("from", "to", "amount"))
        if not await self.session.change("EVAL", TRANSFER, 1, self.key(call), source, to, amount):
            raise Failed("not enough in the account")
        return call.value

    async def enqueue(self, call: Call) -> Any:
        await self.session.change("RPUSH", self.key(call), call.value)
        self.session.expire()
        return call.value

    async def dequeue(self, call: Call) -> Any:
        found = await self.session.change("LPOP", self.key(call))
        return None if found is None else int(found)

    async def drain(self, call: Call) -> Any:
        return [int(value) for value in await self.session.change("EVAL", DRAIN, 1, self.key(call))]

    async def txn(self, call: Call) -> Any:
        script, names, arguments = _script(call.value, self.session.kept)
        replies = await self.session.change("EVAL", script, len(names), *names, *arguments)
        return [
            [f, key, _read(reply) if f == "r" else value]
            for (f, key, value), reply in zip(call.value, replies, strict=True)
        ]


def _script(steps: list[Any], kept: _Kept) -> tuple[str, list[str], list[Argument]]:
    """A script runs alone, like a transaction that nobody can come into."""
    lists = kept.use.what == "list-append"
    lines, names, arguments = ["local done = {}"], list[str](), list[Argument]()
    for at, (f, key, value) in enumerate(steps, 1):
        names.append(kept.key(key))
        arguments.append("" if value is None else value)
        command = {
            "r": f"redis.call('LRANGE', KEYS[{at}], 0, -1)" if lists else f"redis.call('GET', KEYS[{at}])",
            "w": f"redis.call('SET', KEYS[{at}], ARGV[{at}], 'EX', {LIFETIME})",
            "append": f"redis.call('RPUSH', KEYS[{at}], ARGV[{at}])",
        }[f]
        lines.append(f"done[{at}] = {command}")
        if f == "append":
            lines.append(f"redis.call('EXPIRE', KEYS[{at}], {LIFETIME})")
    return "\n".join([*lines, "return done"]), names, arguments


def _read(reply: Any) -> Any:
    if isinstance(reply, list):
        return [int(one) for one in reply]
    return None if reply is None else int(reply)


async def _claim(node: Connection) -> int:
    """How many replicas follow it, as far as it knows; -1 where it is no primary."""
    try:
        async with asyncio.timeout(FIND):
            reply = await node.call("ROLE")
    except (WireError, ServerError, TimeoutError):
        return -1
    return len(reply[2]) if reply[0] == b"master" else -1
