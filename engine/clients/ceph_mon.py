import asyncio
import errno
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import orjson

from engine.calls import Answer, Call, Place, Use
from engine.clients import Client, Failed, Kept, Session, Unknown
from engine.target import Target

WHAT = ("register", "kv")
WORKER = Path(__file__).with_name("_ceph_worker.py")
CONNECT = 3.0  # seconds
THERE_OR_NOT = (0, -errno.ENOENT)
Json = dict[str, Any]


@dataclass(frozen=True)
class CephMon(Client):
    """Config keys of Ceph's monitors: small values that they keep on Paxos, by the commands of the monitors.

    It needs Debian's python3-rados, and speaks through a process for each client. Every monitor with a majority
    answers reads. librados sends anew what was under way when its connection broke, so that a write may take
    place twice: what hangs on that alone is not the monitors' doing.
    """

    keeps: ClassVar[frozenset[str]] = frozenset(WHAT)
    replicas: ClassVar[str] = "every monitor answers reads of config keys; leave read_from at leader"

    def open(self, target: Target, use: Use) -> Kept:
        return _Kept(target, use)


@dataclass(frozen=True)
class _Kept(Kept):
    target: Target
    use: Use

    @property
    def prefix(self) -> str:
        return f"{self.use.prefix}/"

    def session(self, number: int, *, last: bool = False) -> "_Session":
        return _Session(self, Place(len(self.target.nodes), number, self.use.placement))

    async def prepare(self) -> None:
        await self._once({"prefix": "config-key exists", "key": self.prefix})

    async def remove(self) -> None:
        session = self.session(0)
        try:
            for key in await session.keys():
                await session.ask({"prefix": "config-key rm", "key": key}, THERE_OR_NOT)
        finally:
            await session.close()

    async def _once(self, command: Json) -> None:
        session = self.session(0)
        try:
            await session.ask(command, THERE_OR_NOT)
        finally:
            await session.close()


class _Session(Session):
    def __init__(self, kept: _Kept, place: Place) -> None:
        self.kept, self.place = kept, place
        self.worker: asyncio.subprocess.Process | None = None
        self.at = -1

    async def call(self, call: Call) -> Answer:
        if call.f in ("read", "get"):
            try:
                return Answer(await self._get(call.key))
            except Unknown as unknown:
                raise Failed(str(unknown)) from None
            except asyncio.CancelledError:
                raise Failed("no answer in time") from None
        command = {"prefix": "config-key set", "key": f"{self.kept.prefix}{call.key}"}
        await self.ask({**command, "val": orjson.dumps(call.value).decode()})
        return Answer(call.value)

    async def _get(self, name: object) -> Any:
        found = await self.ask({"prefix": "config-key get", "key": f"{self.kept.prefix}{name}"}, THERE_OR_NOT)
        return None if found["code"] else orjson.loads(found["out"])

    async def keys(self) -> list[str]:
        found = await self.ask({"prefix": "config-key ls", "format": "json"})
        return [key for key in orjson.loads(found["out"]) if key.startswith(self.kept.prefix)]

    async def ask(self, command: Json, good: tuple[int, ...] = (0,)) -> Json:
        """The monitor's answer. Raises Failed where it was not sent, Unknown where it was refused or lost."""
        worker = await self._connected()
        answered = False
        try:
            assert worker.stdin
            assert worker.stdout
            worker.stdin.write(orjson.dumps(command) + b"\n")
            line = await worker.stdout.readline()
            found: Json = orjson.loads(line) if line else {"code": -errno.EPIPE, "said": "the worker ended"}
            answered = bool(line)
        except OSError as error:
            raise Unknown(str(error)) from None
        finally:
            if not answered:
                self._forget()
        if found["code"] not in good:
            self._forget()
            raise Unknown(found["said"] or errno.errorcode.get(-found["code"], str(found["code"])))
        return found

    async def _connected(self) -> asyncio.subprocess.Process:
        at = self.place.next()
        node = self.kept.target.nodes[at]
        self.asked = node.name
        if self.worker and self.at == at:
            return self.worker
        self._drop()
        self.at = at
        try:
            async with asyncio.timeout(CONNECT):
                self.worker = await _started(node.address)
                assert self.worker.stdout
                if await self.worker.stdout.readline() == b"ready\n":
                    return self.worker
        except TimeoutError:
            pass
        except asyncio.CancelledError:
            self._forget()
            raise Failed("no connection in time") from None
        self._forget()
        raise Failed(f"no connection to {node.name} at {node.address}")

    def _forget(self) -> None:
        self.place.failed()
        self._drop()

    def _drop(self) -> None:
        """Ends its process at once, so that nothing is sent a second time."""
        if self.worker and self.worker.returncode is None:
            self.worker.kill()
            asyncio.get_running_loop().create_task(self.worker.wait())  # the loop reaps it
        self.worker = None

    async def close(self) -> None:
        worker = self.worker
        self._drop()
        if worker:
            await worker.wait()


async def _started(address: str) -> asyncio.subprocess.Process:
    python = next(filter(None, map(shutil.which, ("/usr/bin/python3", "python3"))), "python3")
    pipe, nothing = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    return await asyncio.create_subprocess_exec(
        python, "-E", "-s", str(WORKER), address, stdin=pipe, stdout=pipe, stderr=nothing, env={}
    )
