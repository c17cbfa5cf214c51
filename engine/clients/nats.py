import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import orjson

from engine.calls import MISMATCH, Answer, Call, Place, Use
from engine.clients import LIFETIME, Client, Failed, Kept, Session, Unknown
from engine.parameters import param
from engine.target import Target

WHAT = ("register", "cas-register", "kv", "set", "counter")
CONNECT = 1.0  # seconds
REFUSED = (503, 10008, 10009)  # no leader, or not now: nothing was stored


@dataclass(frozen=True)
class Nats(Client):
    """A bucket of its own in NATS JetStream's key-value store; versions are its revisions.

    Reads are answered by the leader of the bucket's stream, or by any replica of it (direct reads). What it cannot
    do at once (cas, append, add) is read, and then written only where the revision is still the same.
    """

    replicas_of: int = param(3, help="how many servers keep the bucket", least=1, most=5)
    keeps: ClassVar[frozenset[str]] = frozenset(WHAT)

    def open(self, target: Target, use: Use) -> Kept:
        return _Kept(self, target, use)


@dataclass(eq=False)
class _Kept(Kept):
    client: Nats
    target: Target
    use: Use

    @property
    def bucket(self) -> str:
        return "".join(c if c.isalnum() or c in "-_" else "_" for c in self.use.prefix)

    def session(self, number: int, *, last: bool = False) -> "_Session":
        place = Place(len(self.target.nodes), number, self.use.placement)
        return _Session(self, place, own=self.use.read_from == "replicas" and not last)

    async def prepare(self) -> None:
        from nats.js.api import KeyValueConfig

        async def make(context: Any) -> None:
            own = self.use.read_from == "replicas"
            config = KeyValueConfig(
                bucket=self.bucket, history=1, ttl=LIFETIME, replicas=self.client.replicas_of, direct=own
            )
            await context.create_key_value(config)

        await self._once(make)

    async def remove(self) -> None:
        await self._once(lambda context: context.delete_key_value(self.bucket))

    async def _once(self, act: Callable[[Any], Awaitable[Any]]) -> None:
        import nats

        session = self.session(0)
        try:
            await act((await session.link()).jetstream(timeout=CONNECT * 5))
        except (nats.errors.Error, OSError) as error:
            session.place.failed()
            raise Unknown(_told(error)) from None
        finally:
            await session.close()


class _Session(Session):
    def __init__(self, kept: _Kept, place: Place, *, own: bool) -> None:
        self.kept, self.place, self.own = kept, place, own
        self.links: dict[int, Any] = {}
        self.sent = False  # something that may change something

    async def call(self, call: Call) -> Answer:
        self.sent = False
        try:
            return await DO[call.f](self, call)
        except asyncio.CancelledError:
            self._forget()
            if self.sent:
                raise
            raise Failed("no answer in time, and nothing was sent") from None

    async def link(self) -> Any:
        """The connection to the present node, which never reconnects by itself. Raises Failed."""
        import nats

        at = self.place.next()
        node, self.at = self.kept.target.nodes[at], at
        self.asked = node.name
        if at not in self.links or self.links[at].is_closed:
            try:
                self.links[at] = await nats.connect(
                    f"nats://{node.host}:{node.port}", allow_reconnect=False, connect_timeout=CONNECT,
                    max_reconnect_attempts=0, name="chaosboard", error_cb=_quiet,
                )  # fmt: skip
            except (nats.errors.Error, OSError, TimeoutError) as error:
                self.place.failed()
                raise Failed(_told(error)) from None
        return self.links[at]

    def _forget(self) -> None:
        self.place.failed()
        if link := self.links.pop(self.at, None):
            task = asyncio.get_running_loop().create_task(link.close())
            task.add_done_callback(lambda task: task.cancelled() or task.exception())

    async def _bucket(self) -> Any:
        """The client's own object, without asking the server for it."""
        from nats.js.kv import KeyValue

        link, name = await self.link(), self.kept.bucket
        return KeyValue(name, f"KV_{name}", f"$KV.{name}.", link.jetstream(timeout=3600), direct=self.own)

    async def get(self, name: str) -> tuple[Any, int]:
        """Value and revision; null and 0 where there is none. A look without an answer has failed."""
        import nats

        try:
            entry = await (await self._bucket()).get(name)
        except nats.js.errors.KeyNotFoundError:
            return None, 0
        except (nats.errors.Error, OSError) as error:
            self._forget()
            raise Failed(_told(error)) from None
        return orjson.loads(entry.value), int(entry.revision)

    async def put(self, name: str, value: Any, revision: int | None = None) -> int:
        """The new revision; only where `revision` is the present one, if given: else Failed."""
        import nats

        bucket, data = await self._bucket(), orjson.dumps(value)
        self.sent = True
        try:
            if revision is None:
                return int(await bucket.put(name, data))
            return int(await bucket.update(name, data, last=revision))
        except nats.js.errors.KeyWrongLastSequenceError:
            raise Failed("somebody else changed it meanwhile") from None
        except nats.js.errors.APIError as error:
            self.place.failed()
            sure = error.code in REFUSED or error.err_code in REFUSED
            raise (Failed if sure else Unknown)(_told(error)) from None
        except nats.js.errors.NoStreamResponseError as error:  # nobody listens: it reached no stream
            self.place.failed()
            raise Failed(_told(error)) from None
        except (nats.errors.Error, OSError) as error:
            self._forget()
            raise Unknown(_told(error)) from None

    async def read(self, call: Call) -> Answer:
        if self.kept.use.what == "set":
            return Answer(await self._members())
        value, revision = await self.get(str(call.key))
        return Answer(value or 0) if self.kept.use.what == "counter" else Answer(value, revision)

    async def _members(self) -> list[int]:
        import nats

        try:
            return sorted(int(name) for name in await (await self._bucket()).keys())
        except nats.js.errors.NoKeysError:
            return []
        except (nats.errors.Error, OSError) as error:
            self._forget()
            raise Failed(_told(error)) from None

    async def write(self, call: Call) -> Answer:
        return Answer(call.value, await self.put(str(call.key), call.value))

    async def cas(self, call: Call) -> Answer:
        """Where the value is another one already, it was read so; where it changed meanwhile, it only failed."""
        old, new = call.value
        there, revision = await self._sure(str(call.key))
        if there != old:
            raise Failed(MISMATCH)
        return Answer(call.value, await self.put(str(call.key), new, revision))

    async def append(self, call: Call) -> Answer:
        there, revision = await self._sure(str(call.key))
        return Answer(call.value, await self.put(str(call.key), (there or "") + call.value, revision))

    async def add(self, call: Call) -> Answer:
        if self.kept.use.what == "set":
            await self.put(str(call.value), 1)
        else:
            there, revision = await self._sure(str(call.key))
            await self.put(str(call.key), (there or 0) + call.value, revision)
        return Answer(call.value)

    async def _sure(self, name: str) -> tuple[Any, int]:
        """What the leader has."""
        own, self.own = self.own, False
        try:
            return await self.get(name)
        finally:
            self.own = own

    async def close(self) -> None:
        for link in self.links.values():
            try:
                async with asyncio.timeout(CONNECT):
                    await link.close()
            except Exception:  # it is given up in any case
                continue
        self.links.clear()


DO: dict[str, Callable[[_Session, Call], Awaitable[Answer]]] = {
    "read": _Session.read, "get": _Session.read, "write": _Session.write, "put": _Session.write,
    "cas": _Session.cas, "append": _Session.append, "add": _Session.add,
}  # fmt: skip


async def _quiet(error: Exception) -> None:
    """What goes wrong is told by the operation that it goes wrong for."""


def _told(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
