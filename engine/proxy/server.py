"""The process behind the link proxy; see the package for what it understands."""

import asyncio
import contextlib
import fcntl
import json
import random
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine import proxy, state
from engine.target import split_address

CHUNK = 64 * 1024
PENDING = 64  # chunks under way in one direction; more wait in the sender's socket


@dataclass
class Disturbance:
    delay: float = 0.0
    jitter: float = 0.0
    cut: bool = False
    until: float = 0.0  # epoch seconds


@dataclass
class Link:
    """One listening address and the disturbances on it, by mark."""

    upstream: str
    server: asyncio.Server | None = None
    disturbances: dict[str, Disturbance] = field(default_factory=dict)
    pumps: set["asyncio.Task[None]"] = field(default_factory=set)

    def active(self) -> list[Disturbance]:
        now = time.time()
        for mark in [m for m, d in self.disturbances.items() if d.until <= now]:
            del self.disturbances[mark]
        return list(self.disturbances.values())

    def delay(self) -> float:
        return sum(max(0.0, d.delay + random.uniform(-d.jitter, d.jitter)) for d in self.active())

    async def uncut(self) -> None:
        while any(d.cut for d in self.active()):
            await asyncio.sleep(0.005)

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self.uncut()
        try:
            there = await asyncio.open_connection(*split_address(self.upstream))
        except OSError:
            writer.transport.abort()
            return
        both = [
            asyncio.create_task(self.pump(reader, there[1])),
            asyncio.create_task(self.pump(there[0], writer)),
        ]
        self.pumps.update(both)
        try:
            await asyncio.gather(*both)
        finally:
            self.pumps.difference_update(both)
            for side in (writer, there[1]):
                side.close()

    async def pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Passes on each chunk when its time has come, in order; the end of the stream too."""
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(PENDING)
        deliver = asyncio.create_task(self.deliver(under_way, writer))
        loop = asyncio.get_running_loop()
        try:
            while True:
                chunk = await reader.read(CHUNK)
                await under_way.put((loop.time() + self.delay(), chunk))
                if not chunk:
                    break
            await deliver
        except OSError:
            writer.transport.abort()
        finally:
            deliver.cancel()

    async def deliver(
        self, under_way: "asyncio.Queue[tuple[float, bytes]]", writer: asyncio.StreamWriter
    ) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due, chunk = await under_way.get()
            if (wait := due - loop.time()) > 0:
                await asyncio.sleep(wait)
            if self.disturbances:
                await self.uncut()
            try:
                if not chunk:
                    writer.write_eof()
                    return
                writer.write(chunk)
                await writer.drain()
            except OSError:
                return


class Server:
    """All links of one state directory. They are kept in a file and opened again at the next start."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.links = folder, dict[str, Link]()

    async def run(self) -> None:
        lock = open(self.folder / "proxy.lock", "w")  # noqa: SIM115 - held until the process ends
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print("A link proxy runs for this state directory already.")
            return
        for listen, upstream in (state.read(self.folder / "links.json") or {}).items():
            with contextlib.suppress(OSError, ValueError):
                await self.do_open(listen, upstream)
        proxy.path(self.folder).unlink(missing_ok=True)
        server = await asyncio.start_unix_server(self.answer, proxy.path(self.folder))
        proxy.path(self.folder).chmod(0o600)
        print("The link proxy is up.", flush=True)
        async with server:
            await server.serve_forever()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            message = json.loads(await reader.readline())
            result = await self.do(message)
        except OSError as error:
            result = {"error": f"{message.get('listen')} cannot be listened on: {error.strerror or error}."}
        except (ValueError, KeyError, TypeError) as error:
            result = {"error": f"The link proxy does not understand this: {error!r}."}
        with contextlib.suppress(OSError):
            writer.write(json.dumps(result).encode() + b"\n")
            await writer.drain()
        writer.close()

    async def do(self, message: dict[str, Any]) -> dict[str, Any]:
        listen = message.get("listen", "")
        if message["do"] == "hello":
            return {"links": {name: link.upstream for name, link in self.links.items()}}
        if message["do"] == "open":
            await self.do_open(listen, message["upstream"])
            self.save()
        elif listen not in self.links:
            return {"error": f"There is no link at {listen}."}
        elif message["do"] == "close":
            self.do_close(listen)
            self.save()
        elif message["do"] == "disturb":
            found = Disturbance(**message["how"], until=message["until"])
            self.links[listen].disturbances[message["mark"]] = found
        elif message["do"] == "clear":
            self.links[listen].disturbances.pop(message["mark"], None)
        else:
            self.links[listen].active()
        return {"marks": list(self.links[listen].disturbances) if listen in self.links else []}

    async def do_open(self, listen: str, upstream: str) -> None:
        split_address(upstream)
        if listen in self.links:
            self.links[listen].upstream = upstream
            return
        link = Link(upstream)
        link.server = await asyncio.start_server(link.accept, *split_address(listen), backlog=1024)
        self.links[listen] = link

    def do_close(self, listen: str) -> None:
        link = self.links.pop(listen)
        if link.server:
            link.server.close()
        for pump in link.pumps:
            pump.cancel()

    def save(self) -> None:
        state.write(self.folder / "links.json", {name: link.upstream for name, link in self.links.items()})


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(Server(folder).run())
