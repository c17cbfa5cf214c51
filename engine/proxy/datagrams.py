"""Links of datagrams (UDP): each client has a session, which is over when nothing has passed for a while.

What is cut off or too much is lost, as on a network: a datagram is passed on whole, late, or not at all.
"""

import socket
from typing import Any, ClassVar

from engine.proxy import files
from engine.proxy.chain import refit
from engine.proxy.link import AT_ONCE, Link
from engine.proxy.listening import bind_on
from engine.proxy.loop import IN_OR_OVER, Loop
from engine.proxy.side import Side
from engine.proxy.toxics import ENOUGH, Stage, Toxic
from engine.proxy.upstream import Address

SILENCE = 60.0  # seconds after which a session is over
LARGEST = 65536
_BUFFER = bytearray(LARGEST)


class DatagramLink(Link):
    protocol = "udp"

    def _open(self) -> socket.socket:
        self._sessions: dict[Any, Session] = {}
        return bind_on(self.listen)

    def _accept(self, mask: int = 0) -> None:
        for _ in range(AT_ONCE):
            if self._listener is None:
                return
            try:
                size, client = self._listener.recvfrom_into(_BUFFER)
            except BlockingIOError:
                return
            except OSError:
                continue
            session = self._sessions.get(client) or self._begin_session(client)
            if session is not None:
                session.up.come(bytes(_BUFFER[:size]))
        self._loop.soon(self._accept)

    def _begin_session(self, client: Any) -> "Session | None":
        if not files.take(2):
            return None
        session = self._sessions[client] = Session(self, client, self._loop)
        self.connections.add(session)
        self._resolver.find(self.upstream, session.connect)
        return session

    def answer(self, client: Any, data: bytes) -> None:
        if self._listener is not None:
            self._listener.sendto(data, client)

    def over(self, session: "Session") -> None:
        self._sessions.pop(session.client, None)


class Session:
    """What a connection is for streams."""

    http2: ClassVar[None] = None
    opener: str | None = None  # there is no connection whose other end the kernel could be asked for

    def __init__(self, link: DatagramLink, client: Any, loop: Loop) -> None:
        self.link, self.client, self.loop = link, client, loop
        self.began, self.closed, self._heard = loop.now, False, True
        self._node: socket.socket | None = None
        self._early: list[bytes] = []  # while the name of the node is looked up
        self.up, self.down = DatagramFlow(self, link.up), DatagramFlow(self, link.down)
        self._timer = loop.after(SILENCE, self._look)
        for flow in self.flows():
            flow.look()

    def connect(self, addresses: list[Address]) -> None:
        if self.closed:
            return
        if not addresses:
            return self.close()
        family, where = addresses[0]
        try:
            self._node = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            self._node.connect(where)
        except OSError:
            return self.close()
        self.loop.watch(self._node.fileno(), self._node_says)
        for data in self._early:
            self.send(self.up, data)
        self._early.clear()
        return None

    def _node_says(self, mask: int) -> None:
        while mask & IN_OR_OVER and self._node is not None:
            try:
                size = self._node.recv_into(_BUFFER)
            except BlockingIOError:
                return
            except OSError:
                continue  # nobody listens there; the client hears nothing, as of a lost datagram
            self.down.come(bytes(_BUFFER[:size]))

    def send(self, flow: "DatagramFlow", data: bytes) -> None:
        self._heard = True
        try:
            if flow is self.down:
                self.link.answer(self.client, data)
            elif self._node is not None:
                self._node.send(data)
            elif len(self._early) < AT_ONCE:
                self._early.append(data)
        except OSError:
            return  # lost
        flow.side.sent += len(data)

    def flows(self) -> "tuple[DatagramFlow, ...]":
        return (self.up, self.down)

    def _look(self) -> None:
        if not self._heard:
            return self.close()
        self._heard = False
        self._timer = self.loop.after(SILENCE, self._look)
        return None

    def close(self) -> None:
        if self.closed:
            return
        self.closed = True
        self._timer.cancel()
        self.link.connections.discard(self)
        self.link.over(self)
        files.give_back(2)
        for flow in self.flows():
            flow.clear()
        if self._node is not None:
            self.loop.forget(self._node.fileno())
            self._node.close()
            self._node = None

    abort = close

    def answer_instead(self, data: bytes) -> None:
        """Only streams are answered."""


class DatagramFlow:
    """What a flow is for streams. Nothing waits here but in its stages."""

    datagrams = True
    stuck = unread = held = False

    def __init__(self, connection: Session, side: Side) -> None:
        self.connection, self.side, self.loop = connection, side, connection.loop
        self.chain: tuple[Stage, ...] = ()
        self.spared: set[Toxic] | None = None
        self.version = self.pending = 0

    def come(self, data: bytes) -> None:
        self.look()
        self.side.received += len(data)
        if not self.chain:
            self.take(data)
        elif self.pending < ENOUGH:
            self.chain[0].take(data)

    def look(self) -> None:
        if self.version != self.side.version and not self.connection.closed:
            refit(self)

    def take(self, data: bytes) -> None:
        if not self.connection.closed:
            self.connection.send(self, data)

    def end(self) -> None:
        """Datagrams have no end."""

    def finish_early(self, stage: Stage) -> None:
        """No more passes; what would is lost."""

    def resume(self) -> None:
        """Nothing waits."""

    writable = stop_splicing = resume

    def clear(self) -> None:
        for stage in self.chain:
            stage.stop()
        self.chain, self.pending = (), 0
