"""One connection of a client, and the one to the node that belongs to it."""

import errno
import socket
import struct
from typing import TYPE_CHECKING

from engine.proxy import files, http2
from engine.proxy.flow import Flow
from engine.proxy.loop import IN_OR_OVER, OUT, OVER, Loop

if TYPE_CHECKING:
    from engine.proxy.link import Link
    from engine.proxy.upstream import Address

_AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends a reset


class Connection:
    # fmt: off
    __slots__ = (
        "_others", "began", "closed", "down", "http2", "link", "loop", "node", "opener", "up", "user",
    )
    # fmt: on

    def __init__(self, link: "Link", user: socket.socket, loop: Loop) -> None:
        self.link, self.loop = link, loop
        self.user: socket.socket = user  # the client's socket
        self.node: socket.socket | None = None
        self.up: Flow | None = None  # from the client to the node
        self.down: Flow | None = None
        self.http2: http2.Session | None = None
        self.closed = False
        self.opener: str | None = None  # None where nobody has asked yet
        self._others: list[Address] = []  # of the node, to be tried
        self.began = loop.now  # monotonic nanoseconds
        user.setblocking(False)

    def connect(self, addresses: "list[Address]") -> None:
        """Tries to connect to the node at one address after the other; the client hears a reset where none answers."""
        if self.closed:
            return
        if not addresses:
            return self.abort()
        (family, where), self._others = addresses[0], addresses[1:]
        try:
            self.node = node = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            result = node.connect_ex(where)
        except OSError:
            return self._try_another()
        if result not in (0, errno.EINPROGRESS):
            return self._try_another()
        return self.loop.watch(node.fileno(), self._connected)

    def _try_another(self) -> None:
        if self.node is not None:
            self.loop.forget(self.node.fileno())
            self.node.close()
            self.node = None
        self.connect(self._others)

    def _connected(self, mask: int) -> None:
        node = self.node
        assert node is not None
        if not mask & OUT:
            return
        if node.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            return self._try_another()
        for one in (self.user, node):
            if one.family != socket.AF_UNIX:
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.up = Flow(self, self.link.up, self.user, node, self.loop)
        self.down = Flow(self, self.link.down, node, self.user, self.loop)
        self.loop.rewatch(node.fileno(), self._node_begins)
        self.loop.watch(self.user.fileno(), self._user_begins)
        for flow in self.flows():
            if flow.side.toxics:
                flow.look()

    def _user_begins(self, mask: int) -> None:
        """Who speaks HTTP/2 is known by the first bytes, which are left where they are."""
        start = _peek(self.user, len(http2.PREFACE)) if mask & IN_OR_OVER else b""
        if start:
            if http2.may_begin(start) and self.http2 is None:
                if len(start) < len(http2.PREFACE) and not mask & OVER:
                    return
                self.http2 = http2.Session(self)
            self._begun()
        if self.up and self.down:
            self.up.listener(self.down)(mask)

    def _node_begins(self, mask: int) -> None:
        start = _peek(self.node, http2.LEAST) if mask & IN_OR_OVER else b""
        if start:
            if http2.answers_first(start):
                self.http2 = http2.Session(self)
            self._begun()
        if self.up and self.down:
            self.down.listener(self.up)(mask)

    def _begun(self) -> None:
        assert self.up
        assert self.down
        assert self.node
        self.loop.hand_over(self.user.fileno(), self.up.listener(self.down))
        self.loop.hand_over(self.node.fileno(), self.down.listener(self.up))

    def flows(self) -> tuple[Flow, ...]:
        return (self.up, self.down) if self.up and self.down else ()

    def answer_instead(self, data: bytes) -> None:
        """Gives the client an answer in place of the node, and then the end; it may still say what it likes."""
        if self.down is not None:
            self.down.finish_with(data)

    def half_closed(self, flow: Flow) -> None:
        """`flow` has passed on its end. With both ends the connection is over."""
        other = self.down if flow is self.up else self.up
        flow.done = True
        if other is not None and other.done:
            self.close()

    def abort(self) -> None:
        """Closes both sides by a reset, as a broken connection does."""
        for one in (self.user, self.node):
            if one is not None and not self.closed:
                try:
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
                except OSError:
                    continue
        self.close()

    def close(self) -> None:
        if self.closed:
            return
        self.closed = True
        self.link.connections.discard(self)
        files.give_back(2)
        for flow in self.flows():
            flow.clear()
        self.up = self.down = self.http2 = None  # no cycle is left behind
        for one in (self.user, self.node):
            if one is not None:
                self.loop.forget(one.fileno())
                one.close()


def _peek(one: socket.socket | None, size: int) -> bytes:
    """What is there to be read, which stays there; nothing also where it has ended, or is broken."""
    try:
        return one.recv(size, socket.MSG_PEEK) if one is not None else b""
    except OSError:
        return b""
