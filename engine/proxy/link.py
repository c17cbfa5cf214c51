"""A link: where clients connect, where the node is, and the toxics in between."""

import errno
import itertools
import socket
from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeAlias

from engine.errors import Refused
from engine.proxy import files
from engine.proxy.connection import Connection
from engine.proxy.listening import listen_on, name_of
from engine.proxy.loop import Loop
from engine.proxy.openers import Members, openers, refuse
from engine.proxy.side import Side
from engine.proxy.toxics import Toxic
from engine.proxy.upstream import Resolver

if TYPE_CHECKING:
    from engine.proxy.datagrams import Session

    AnyConnection: TypeAlias = Connection | Session

AT_ONCE = 64  # connections accepted, or looked at after an order, before others come
TOO_MANY = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Link:
    """`listen` and `upstream` are "host:port". It forwards while it is `enabled`."""

    protocol = "tcp"

    def __init__(self, name: str, listen: str, upstream: str, loop: Loop, resolver: Resolver) -> None:
        self.name, self.listen, self.upstream = name, listen, upstream
        self.up, self.down = Side("upstream"), Side("downstream")
        self.connections: set[AnyConnection] = set()
        self._loop, self._resolver = loop, resolver
        self._waiting: list[Connection] = []  # for the end of a cut
        self._listener: socket.socket | None = None
        self._telling = False
        self._asked = listen
        self.members: Members = {}  # who may have opened a connection, where they are told apart

    @property
    def enabled(self) -> bool:
        return self._listener is not None

    def start(self) -> None:
        """Listens; raises OSError where it cannot."""
        if self._listener is not None:
            return
        self._asked = self.listen
        self._listener = listener = self._open()
        self.listen = name_of(listener)
        self._loop.pace.tell(self, bool(self.toxics()))
        self._loop.watch(listener.fileno(), self._accept)

    def _open(self) -> socket.socket:
        return listen_on(self.listen)

    def listens_on(self, address: str) -> bool:
        """Whether `address` is where it listens, or what it was asked to listen on."""
        return address in (self.listen, self._asked)

    def stop(self) -> None:
        """Listens no more, and drops every connection."""
        if self._listener is None:
            return
        self._loop.pace.tell(self, False)
        self._loop.forget(self._listener.fileno())
        self._listener.close()
        self._listener = None
        for connection in [*self.connections, *self._waiting]:
            connection.close()
        self._waiting.clear()

    def _accept(self, mask: int = 0) -> None:
        for _ in range(AT_ONCE):
            if self._listener is None:
                return
            if not files.take(2):
                self._loop.after(files.PAUSE, self._accept)  # they wait in the kernel
                return
            try:
                user, _ = self._listener.accept()
            except OSError as error:
                files.give_back(2)
                if isinstance(error, BlockingIOError):
                    return
                if error.errno in TOO_MANY:
                    self._loop.after(files.PAUSE, self._accept)
                    return
                continue  # the client is gone already
            self._begin(Connection(self, user, self._loop))
        self._loop.soon(self._accept)

    def _begin(self, connection: Connection) -> None:
        self.connections.add(connection)
        if any(toxic.openers is not None for toxic in self.toxics()):
            self._ask([connection])
        if self.up.cut(connection.opener):
            self._waiting.append(connection)
            return
        self._resolver.find(self.upstream, connection.connect)

    # Who opened what

    def tell_apart(self, members: Members) -> None:
        """From now on it is known which of these, too, opened a connection; raises Refused where it cannot be."""
        if self._listener is None or self.protocol != "tcp":
            raise Refused(f"Who sends to {self.listen} cannot be told apart.")
        refuse(self._listener, members)
        self.members = {**self.members, **members}
        for connection in self.connections:
            connection.opener = connection.opener or None  # it may be one of those who were not known before
        self._ask(self.connections)

    def _ask(self, connections: "Iterable[AnyConnection]") -> None:
        """Whose the connections are of which it is not known."""
        unknown = [one for one in connections if isinstance(one, Connection) and one.opener is None]
        found = openers([one.user for one in unknown], self.members) if unknown else []
        for one, name in zip(unknown, found, strict=True):
            one.opener = name

    # Toxics

    def side(self, stream: str) -> Side:
        return self.up if stream == "upstream" else self.down

    def toxics(self) -> list[Toxic]:
        return [*self.up.toxics, *self.down.toxics]

    def toxic(self, name: str) -> Toxic | None:
        return next((toxic for toxic in self.toxics() if toxic.name == name), None)

    def add(self, toxic: Toxic) -> None:
        """Holds from now on, for what is connected too."""
        if toxic.openers is not None:
            self._ask(self.connections)
        self.side(toxic.stream).add(toxic)
        self._changed()

    def replace(self, old: Toxic, new: Toxic) -> None:
        self.side(old.stream).replace(old, new)
        self._changed()

    def remove(self, *toxics: Toxic) -> None:
        for toxic in toxics:
            self.side(toxic.stream).remove(toxic)
        if toxics:
            self._changed()

    def _changed(self) -> None:
        """Each flow sees a change when something comes; those to which nothing comes are told."""
        self._loop.pace.tell(self, bool(self.toxics()))
        if not self._telling:
            self._telling = True
            self._loop.soon(self._tell)

    def _tell(self) -> None:
        """Those first that hold something back, then the others, some at a time."""
        self._telling = False
        waiting, self._waiting = self._waiting, []
        for connection in waiting:
            if not connection.closed:
                self._begin(connection)  # or it goes on waiting
        for side in (self.up, self.down):
            holding, side.holding = side.holding, set()
            for flow in holding:
                flow.look()
        left = iter(list(self.connections))

        def tell() -> None:
            some = list(itertools.islice(left, AT_ONCE))
            for connection in some:
                for flow in connection.flows():
                    if not connection.closed:
                        flow.look()
            if some:
                self._loop.soon(tell)

        self._loop.soon(tell)
