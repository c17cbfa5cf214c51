import asyncio
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from engine.parameters import param
from engine.probes import GOOD, Probe, Reading, Session, failed, joining
from engine.target import Node
from engine.wire import Lost, NotConnected, WireError, reason

if TYPE_CHECKING:
    from dns.message import Message

MOST = 1 << 16  # ids of questions


@dataclass(frozen=True)
class Dns(Probe):
    """Asks a name server, by UDP."""

    name: str = param("localhost", help="the name that it is asked for")
    type: str = param("A", help="the type of record, as in AAAA or NS")
    good: str = param(
        "answer",
        choices=("answer", "found"),
        help="what is good: any answer, or only one in which it is found",
    )
    nodes: str = joining()

    def __post_init__(self) -> None:
        if not self.type.isalnum():
            raise ValueError(f"{self.type!r} is not a type of record; write A, AAAA, NS, …")

    def session(self, node: Node) -> Session:
        return _Session(self, node)


class _Session(Session):
    def __init__(self, probe: Dns, node: Node) -> None:
        self._probe, self._node = probe, node
        self._ids = itertools.cycle(range(MOST))
        self._ask: _Ask | None = None

    async def look(self) -> Reading:
        from dns import message, rcode

        query = message.make_query(self._probe.name, self._probe.type, id=next(self._ids))
        try:
            answer = await (await self._opened()).ask(query)
        except (OSError, WireError) as error:
            return failed(error if isinstance(error, WireError) else NotConnected(reason(error)))
        except ValueError:
            return Reading(False, "no answer as name servers give them")
        if self._probe.good == "found" and not answer.answer:
            return Reading(False, f"not found: {rcode.to_text(answer.rcode())}")
        return GOOD

    async def _opened(self) -> "_Ask":
        if self._ask is None:
            where = (self._node.host, self._node.port)
            loop = asyncio.get_running_loop()
            _, self._ask = await loop.create_datagram_endpoint(_Ask, remote_addr=where)
        return self._ask

    async def close(self) -> None:
        if self._ask is not None:
            self._ask.transport.abort()


class _Ask(asyncio.DatagramProtocol):
    """Questions that wait for their answers, by their ids."""

    def __init__(self) -> None:
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self.transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)  # uvloop has a class of its own

    def datagram_received(self, data: bytes, _: object) -> None:
        waiting = self._waiting.get(int.from_bytes(data[:2], "big"))
        if waiting is not None and not waiting.done():
            waiting.set_result(data)

    def error_received(self, error: Exception) -> None:
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(error if isinstance(error, OSError) else Lost(str(error)))

    async def ask(self, query: "Message") -> "Message":
        from dns import exception, message

        self._waiting[query.id] = waiting = asyncio.get_running_loop().create_future()
        try:
            self.transport.sendto(query.to_wire())
            return message.from_wire(await waiting)
        except exception.DNSException as error:
            raise ValueError(str(error)) from None
        finally:
            del self._waiting[query.id]
