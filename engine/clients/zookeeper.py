import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import orjson

from engine.calls import MISMATCH, Answer, Call, Place, Use
from engine.clients import Client, Failed, Kept, Session, Unknown
from engine.target import Target

WHAT = ("register", "cas-register", "kv", "set", "counter")
CONNECT = 1.0  # seconds
SESSION = 4.0  # seconds after which ZooKeeper gives up a session that is silent
CONFLICT = "somebody else changed it meanwhile"
TRIES = 3  # of writing where a node is made, and made where it is not there


@dataclass(frozen=True)
class Zookeeper(Client):
    """Nodes of ZooKeeper's tree under one of the run's own; versions are its transaction numbers (zxid).

    Reads follow a `sync`; those from replicas do not, and are what the asked server has. What it cannot do at once
    (cas, append, add) is read, and then written only where the version is still the same. What is left behind
    where this process dies stays there, under /chaosboard.
    """

    keeps: ClassVar[frozenset[str]] = frozenset(WHAT)

    def open(self, target: Target, use: Use) -> Kept:
        return _Kept(target, use)


@dataclass(frozen=True)
class _Kept(Kept):
    target: Target
    use: Use

    @property
    def root(self) -> str:
        return f"/{self.use.prefix}"

    def session(self, number: int, *, last: bool = False) -> "_Session":
        place = Place(len(self.target.nodes), number, self.use.placement)
        return _Session(self, place, own=self.use.read_from == "replicas" and not last)

    async def prepare(self) -> None:
        session = self.session(0)
        try:
            await session.ask(lambda link: link.ensure_path_async(self.root))
        finally:
            await session.close()

    async def remove(self) -> None:
        session = self.session(0)
        try:
            await asyncio.to_thread(_removed, await session.link(), self.root)
        finally:
            await session.close()


def _removed(link: Any, root: str) -> None:
    from kazoo.exceptions import KazooException, NoNodeError

    try:
        link.delete(root, recursive=True)
    except NoNodeError:
        pass
    except KazooException as error:
        raise Unknown(_told(error)) from None


class _Session(Session):
    """A connection at a time, which is never made again by itself: with it goes what was under way."""

    def __init__(self, kept: _Kept, place: Place, *, own: bool) -> None:
        self.kept, self.place, self.own = kept, place, own
        self.connection: Any = None
        self.at = -1
        self.changing = False

    async def call(self, call: Call) -> Answer:
        self.changing = False
        try:
            answer: Answer = await getattr(self, f"do_{call.f}")(call)
            return answer
        except Unknown as unknown:
            if self.changing:
                raise
            raise Failed(str(unknown)) from None
        except asyncio.CancelledError:
            self._forget()
            if self.changing:
                raise
            raise Failed("no answer in time, and nothing was sent") from None

    def path(self, name: object) -> str:
        return f"{self.kept.root}/{name}"

    async def link(self) -> Any:
        """The connection to the present node; raises Failed."""
        from kazoo.client import KazooClient
        from kazoo.retry import KazooRetry

        at = self.place.next()
        node = self.kept.target.nodes[at]
        self.asked = node.name
        if self.connection is not None and self.at == at and self.connection.connected:
            return self.connection
        self._drop()
        self.at = at
        once = KazooRetry(max_tries=0)
        link = KazooClient(f"{node.host}:{node.port}", timeout=SESSION, connection_retry=once)
        started = link.start_async()
        self.connection = link
        try:
            async with asyncio.timeout(CONNECT):
                while not started.is_set():
                    await asyncio.sleep(0.005)
        except TimeoutError:
            pass
        if not link.connected:
            self._forget()
            raise Failed(f"no connection to {node.name} at {node.address}")
        return link

    async def ask(self, act: Callable[[Any], Any]) -> Any:
        """What the server answers; raises Failed, Unknown, and kazoo's own errors that are answers."""
        from kazoo import exceptions as of

        link = await self.link()
        try:
            return await _awaited(act(link))
        except (of.NoNodeError, of.NodeExistsError, of.BadVersionError):
            raise
        except (of.KazooException, OSError) as error:
            self._forget()
            raise Unknown(_told(error)) from None

    async def get(self, name: object, *, sure: bool = False) -> tuple[Any, Any]:
        """Value and stat; null and None where there is none."""
        from kazoo.exceptions import NoNodeError

        if not self.own or sure:
            await self.ask(lambda link: link.sync_async(self.kept.root))
        try:
            data, stat = await self.ask(lambda link: link.get_async(self.path(name)))
        except NoNodeError:
            return None, None
        return orjson.loads(data), stat

    async def put(self, name: object, value: Any) -> int:
        """In any case; the zxid of the change."""
        from kazoo.exceptions import NodeExistsError, NoNodeError

        path, data = self.path(name), orjson.dumps(value)
        self.changing = True
        for _ in range(TRIES):
            try:
                return int((await self.ask(lambda link: link.set_async(path, data))).mzxid)
            except NoNodeError:
                pass
            try:
                return await self._make(path, data)
            except NodeExistsError:
                continue
        raise Failed(CONFLICT)

    async def _make(self, path: str, data: bytes) -> int:
        _, stat = await self.ask(lambda link: link.create_async(path, data, include_data=True))
        return int(stat.mzxid)

    async def put_if(self, name: object, value: Any, stat: Any) -> int:
        """Only where it is as it was: else Failed."""
        from kazoo.exceptions import BadVersionError, NodeExistsError, NoNodeError

        path, data = self.path(name), orjson.dumps(value)
        self.changing = True
        try:
            if stat is None:
                return await self._make(path, data)
            found = await self.ask(lambda link: link.set_async(path, data, version=stat.version))
            return int(found.mzxid)
        except (BadVersionError, NodeExistsError, NoNodeError):
            raise Failed(CONFLICT) from None

    # The operations, by their names

    async def do_read(self, call: Call) -> Answer:
        what = self.kept.use.what
        if what == "set":
            if not self.own:
                await self.ask(lambda link: link.sync_async(self.kept.root))
            names = await self.ask(lambda link: link.get_children_async(self.kept.root))
            return Answer(sorted(map(int, names)))
        value, stat = await self.get(call.key)
        if what == "counter":
            return Answer(value or 0)
        return Answer(value, int(stat.mzxid) if stat else 0)

    do_get = do_read

    async def do_write(self, call: Call) -> Answer:
        return Answer(call.value, await self.put(call.key, call.value))

    do_put = do_write

    async def do_cas(self, call: Call) -> Answer:
        old, new = call.value
        there, stat = await self.get(call.key, sure=True)
        if there != old:
            raise Failed(MISMATCH)
        return Answer(call.value, await self.put_if(call.key, new, stat))

    async def do_append(self, call: Call) -> Answer:
        there, stat = await self.get(call.key, sure=True)
        return Answer(call.value, await self.put_if(call.key, (there or "") + call.value, stat))

    async def do_add(self, call: Call) -> Answer:
        if self.kept.use.what == "set":
            await self.put(call.value, 1)
        else:
            there, stat = await self.get(call.key, sure=True)
            await self.put_if(call.key, (there or 0) + call.value, stat)
        return Answer(call.value)

    def _forget(self) -> None:
        self.place.failed()
        self._drop()

    def _drop(self) -> None:
        """Its threads end in one of their own: that takes a while."""
        if self.connection is not None:
            asyncio.get_running_loop().run_in_executor(None, _ended, self.connection)
        self.connection = None

    async def close(self) -> None:
        if self.connection is not None:
            await asyncio.to_thread(_ended, self.connection)
        self.connection = None


async def _awaited(result: Any) -> Any:
    """kazoo's answer, which comes in a thread of its own."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()

    def tell() -> None:
        if future.done():
            return
        if result.exception is not None:
            future.set_exception(result.exception)
        else:
            future.set_result(result.value)

    result.rawlink(lambda _: loop.call_soon_threadsafe(tell))
    return await future


def _ended(link: Any) -> None:
    try:
        link.stop()
        link.close()
    except Exception:  # it is given up in any case
        return


def _told(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
