import asyncio
import contextlib
import json
import os
import struct
from dataclasses import dataclass
from typing import Any, ClassVar

from engine.parameters import param
from engine.probes import GOOD, Leads, Probe, Reading, Session, View, failed, joining
from engine.target import Node, split_address
from engine.wire import Lost, NotConnected, WireError, reason
from engine.wire.once import ask

BANNER = b"ceph v2\n"


@dataclass(frozen=True)
class CephMon(Probe):
    """Greets a Ceph monitor; who leads is asked at its admin socket, where it runs on this host."""

    admin_socket: str = param(
        "", help="the path of its admin socket, {node} for its name; found by the port it listens on if empty"
    )
    nodes: str = joining()
    leads: ClassVar[bool] = True

    def session(self, node: Node) -> Session:
        return _Session(node, self.admin_socket.replace("{node}", node.name))


@dataclass
class _Session(Session, Leads):
    node: Node
    socket: str

    async def look(self) -> Reading:
        try:
            data = await ask(self.node.host, self.node.port, BANNER, lambda data: len(data) >= len(BANNER))
        except WireError as error:
            return failed(error)
        return GOOD if data.startswith(BANNER) else Reading(False, "not the greeting of a Ceph monitor")

    async def view(self) -> View:
        self.socket = self.socket or await _socket_of(self.node)
        status = await _command(self.socket, "mon_status")
        try:
            monitors = {one["rank"]: one["name"] for one in status["monmap"]["mons"]}
            quorum = status["quorum"]
            return View(str(status["name"]), str(monitors[min(quorum)]) if quorum else None)
        except (KeyError, TypeError, ValueError):
            raise Lost("not the answer of a Ceph monitor") from None

    async def close(self) -> None:
        pass


async def _socket_of(node: Node) -> str:
    """The admin socket of the process that listens where the node does, or else of the monitor that says of itself
    that it is at its address, which may be that of a link proxy; raises NotConnected."""
    if path := await asyncio.to_thread(_listening_at, *split_address(node.upstream or node.address)):
        return path
    for path in await asyncio.to_thread(_sockets):
        with contextlib.suppress(WireError, KeyError, TypeError):
            status = await _command(path, "mon_status")
            own = [one for one in status["monmap"]["mons"] if one["name"] == status["name"]]
            if node.address in [at["addr"] for one in own for at in one["public_addrs"]["addrvec"]]:
                return path
    raise NotConnected(f"no admin socket of {node.name} is found on this host")


def _listening_at(host: str, port: int) -> str:
    from engine import processes

    for pid in processes.listeners(port) or _apart(host, port):
        if path := _admin(pid):
            return path
    return ""


def _sockets() -> list[str]:
    """Of all monitors of this host."""
    import psutil

    return [
        path
        for one in psutil.process_iter(["name"])
        if one.info["name"] == "ceph-mon"
        if (path := _admin(one.pid))
    ]


def _admin(pid: int) -> str:
    with contextlib.suppress(OSError):
        return next((path for path in _listened(pid) if path.endswith(".asok")), "")
    return ""


def _apart(host: str, port: int) -> list[int]:
    """The monitors that listen there in a network namespace of their own."""
    import psutil

    from engine.errors import EngineError
    from engine.host import networks

    found = []
    for one in psutil.process_iter(["name"]):
        with contextlib.suppress(OSError, EngineError):
            if one.info["name"] == "ceph-mon" and networks.elsewhere(one.pid):
                here = networks.addresses(f"/proc/{one.pid}/ns/net")
                found += [one.pid] * (host in here and port in networks.listening([one.pid], one.pid))
    return found


def _listened(pid: int) -> list[str]:
    """The paths of its Unix sockets, also of those in another network namespace."""
    with os.scandir(f"/proc/{pid}/fd") as files:
        own = {os.readlink(file.path) for file in files}
    with open(f"/proc/{pid}/net/unix") as lines:
        rows = [line.split() for line in lines]
    return [row[7] for row in rows if len(row) > 7 and f"socket:[{row[6]}]" in own]


async def _command(path: str, command: str) -> dict[str, Any]:
    """The answer of a daemon at its admin socket: a length of four bytes, then JSON."""
    try:
        reader, writer = await asyncio.open_unix_connection(path)
    except OSError as error:
        raise NotConnected(reason(error)) from None
    try:
        writer.write(json.dumps({"prefix": command}).encode() + b"\0")
        (length,) = struct.unpack("!I", await reader.readexactly(4))
        return dict(json.loads(await reader.readexactly(length)))
    except (OSError, EOFError, ValueError) as error:
        raise Lost(str(error)) from None
    finally:
        writer.close()
