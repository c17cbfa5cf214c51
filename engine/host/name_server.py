"""A name server on a loopback address of its own, which does harm to some questions and passes on the rest.

It speaks UDP and TCP. A question that is passed on goes to the real servers byte by byte, and so comes
its answer; where none of them answers, neither does this one.
"""

import asyncio
import contextlib
import ctypes
import fnmatch
import os
import random
import socket
import struct
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from engine.errors import EngineError, Refused

PORT = 53
PATIENCE = 3.0  # seconds that one of the real servers may take
LOOK = 0.1  # seconds between two looks whether the fault still lives
TRIES = 50  # addresses looked at before giving up
_NEW_NET = 0x40000000

SERVFAIL, NXDOMAIN, SILENCE = "servfail", "nxdomain", "timeout"


@dataclass(frozen=True)
class Harm:
    """What becomes of a question whose name fits one of `names`: `answer` is "" where it is passed on."""

    names: Sequence[str]
    answer: str = ""
    delay: float = 0.0
    jitter: float = 0.0

    def fits(self, name: str) -> bool:
        plain = name.rstrip(".").lower()
        return any(fnmatch.fnmatchcase(plain, pattern.rstrip(".").lower()) for pattern in self.names)

    def later(self) -> float:
        """Seconds by which the answer is delayed."""
        return max(0.0, self.delay + random.uniform(-self.jitter, self.jitter))


def free_address(pid: int) -> str:
    """A loopback address on which nobody serves names, as `pid` sees the network. Raises Refused."""
    found: list[str] = []
    why: list[OSError] = []

    def look() -> None:  # a thread of its own, since only that one changes its network
        try:
            enter_network(pid)
            for _ in range(TRIES):
                numbers = [127, *(random.randint(*span) for span in ((64, 127), (1, 254), (1, 254)))]
                address = ".".join(map(str, numbers))
                try:
                    for listener in _sockets(address):
                        listener.close()
                    found.append(address)
                    return
                except OSError as error:
                    why.append(error)
        except OSError as error:
            why.append(error)

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    if found:
        return found[0]
    raise Refused(
        f"No loopback address is free for a name server of ours: {why[-1].strerror}.",
        "One that listens on all addresses may be in the way; let it listen on its own only.",
    )


def enter_network(pid: int) -> None:
    """From now on this thread makes its sockets where `pid` has its own."""
    if os.readlink(f"/proc/{pid}/ns/net") == os.readlink("/proc/thread-self/ns/net"):
        return
    descriptor = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(descriptor, _NEW_NET) < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    finally:
        os.close(descriptor)


def _sockets(address: str) -> list[socket.socket]:
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    streams = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        streams.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        datagrams.bind((address, PORT))
        streams.bind((address, PORT))
        streams.listen(64)
    except OSError:
        datagrams.close()
        streams.close()
        raise
    for one in (datagrams, streams):
        one.setblocking(False)
    return [datagrams, streams]


def serve(
    address: str, upstreams: Sequence[str], harm: Harm, alive: Callable[[], bool], ready: Callable[[], None]
) -> None:
    """Serves as long as `alive()`; calls `ready` when it does. Raises EngineError where it cannot."""
    try:
        datagrams, streams = _sockets(address)
    except OSError as error:
        raise EngineError(f"No name server could be started on {address}: {error.strerror}.") from None
    with datagrams, streams:
        asyncio.run(_Server(upstreams, harm).run(datagrams, streams, alive, ready))


class _Server:
    def __init__(self, upstreams: Sequence[str], harm: Harm) -> None:
        self.upstreams, self.harm = upstreams, harm
        self.going: set[asyncio.Task[None]] = set()

    async def run(
        self, datagrams: socket.socket, streams: socket.socket, alive: Callable[[], bool],
        ready: Callable[[], None],
    ) -> None:  # fmt: skip
        loop = asyncio.get_running_loop()
        loop.add_reader(datagrams, self._datagram, datagrams)
        server = await asyncio.start_server(self._stream, sock=streams)
        ready()
        while await asyncio.to_thread(alive):
            await asyncio.sleep(LOOK)
        server.close()
        loop.remove_reader(datagrams)
        for task in self.going:
            task.cancel()

    def _datagram(self, datagrams: socket.socket) -> None:
        with contextlib.suppress(OSError):
            question, sender = datagrams.recvfrom(65535)
            task = asyncio.ensure_future(self._answer_datagram(datagrams, question, sender))
            self.going.add(task)
            task.add_done_callback(self.going.discard)

    async def _answer_datagram(self, datagrams: socket.socket, question: bytes, sender: object) -> None:
        answer = await self._answer(question, _ask_datagram)
        if answer:
            with contextlib.suppress(OSError):
                datagrams.sendto(answer, sender)  # type: ignore[call-overload]  # an address, as it came

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError):
            while True:
                question = await _read(reader)
                answer = await self._answer(question, _ask_stream)
                if answer is not None:
                    writer.write(struct.pack("!H", len(answer)) + answer)
                    await writer.drain()
        writer.close()

    async def _answer(self, question: bytes, ask: Callable[[str, bytes], Awaitable[bytes]]) -> bytes | None:
        name = _name(question)
        if name is not None and self.harm.fits(name):
            await asyncio.sleep(self.harm.later())
            if self.harm.answer:
                return _refused(question, self.harm.answer)
        for upstream in self.upstreams:
            with contextlib.suppress(OSError, EOFError, TimeoutError):
                return await asyncio.wait_for(ask(upstream, question), PATIENCE)
        return None


def _name(question: bytes) -> str | None:
    """The name that is asked for; None where this is no question."""
    import dns.exception
    import dns.message

    try:
        message = dns.message.from_wire(question, ignore_trailing=True)
    except dns.exception.DNSException:
        return None
    return message.question[0].name.to_text() if message.question else None


def _refused(question: bytes, answer: str) -> bytes | None:
    import dns.message
    import dns.rcode

    if answer == SILENCE:
        return None
    made = dns.message.make_response(dns.message.from_wire(question, ignore_trailing=True), True)
    made.set_rcode(dns.rcode.SERVFAIL if answer == SERVFAIL else dns.rcode.NXDOMAIN)
    return made.to_wire()


class _Once(asyncio.DatagramProtocol):
    """Waits for the datagram that answers the question of the number `id`."""

    def __init__(self, id: bytes) -> None:
        self.id = id
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: object) -> None:
        if data[:2] == self.id and not self.answer.done():
            self.answer.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(exc)


async def _ask_datagram(upstream: str, question: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    transport, waiting = await loop.create_datagram_endpoint(
        lambda: _Once(question[:2]), remote_addr=(upstream, PORT)
    )
    try:
        transport.sendto(question)
        return await waiting.answer
    finally:
        transport.close()


async def _ask_stream(upstream: str, question: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(upstream, PORT)
    try:
        writer.write(struct.pack("!H", len(question)) + question)
        return await _read(reader)
    finally:
        writer.close()


async def _read(reader: asyncio.StreamReader) -> bytes:
    (length,) = struct.unpack("!H", await reader.readexactly(2))
    return await reader.readexactly(length)
