"""Connections to the nodes of an SQL server, and which of them is the primary."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from engine.calls import Place
from engine.clients import Failed

FIND = 1.0  # seconds for a node to be connected to, and as many to say whether it is the primary
Rows = list[tuple[Any, ...]]
Seat = tuple[int, bool]  # a node, and whether the connection to it is for looks alone


class Refusal(Exception):
    """What the server said; `sure` where nothing of the statement, or of its transaction, can have happened.

    `mild` where only the transaction lost, and nothing is wrong with the server or the connection.
    """

    def __init__(self, message: str, *, sure: bool, mild: bool = False) -> None:
        super().__init__(message)
        self.sure, self.mild = sure, mild


class Gone(Exception):
    """The connection broke."""


class Link(ABC):
    """One connection, which commits each statement by itself."""

    @abstractmethod
    async def ask(self, query: str, *given: Any) -> Rows:
        """Raises Refusal or Gone."""

    @abstractmethod
    async def changed(self, query: str, *given: Any) -> int:
        """How many rows; raises Refusal or Gone."""

    @abstractmethod
    def cut(self) -> None:
        """Who waits for an answer gets Gone at once; what was not committed is rolled back."""

    @abstractmethod
    def drop(self) -> None:
        """Closes it at once, waiting for nobody. Nobody may be waiting for an answer."""


@dataclass(eq=False)
class Server:
    """One node: how it is connected to, and whether it says that it is the primary."""

    name: str
    connect: Callable[[bool], Awaitable[Link]]  # True: for looks at any node; raises Refusal or Gone
    rank: Callable[[Link], Awaitable[int]]  # the higher the newer a primary; -1 is none


class Finder:
    """Who the primary is: one question to all nodes serves all clients that ask meanwhile."""

    def __init__(self, servers: list[Server]) -> None:
        self.servers = servers
        self.asking: asyncio.Task[list[int]] | None = None

    async def find(self) -> int:
        """Raises Failed where no node says that it is the primary."""
        if self.asking is None or self.asking.done():
            self.asking = asyncio.get_running_loop().create_task(self._ranks())
        ranks = await asyncio.shield(self.asking)
        if max(ranks) < 0:
            raise Failed("no node says that it is the primary")
        return ranks.index(max(ranks))

    async def _ranks(self) -> list[int]:
        return await asyncio.gather(*(_rank(server) for server in self.servers))


async def _rank(server: Server) -> int:
    """-1 where it does not say in time."""
    link = None
    try:
        async with asyncio.timeout(FIND):
            link = await server.connect(False)
        late = asyncio.get_running_loop().call_later(FIND, link.cut)
        try:
            return await server.rank(link)
        finally:
            late.cancel()
    except (Refusal, Gone, TimeoutError):
        return -1
    finally:
        if link:
            link.drop()


class Hand:
    """The connections of one operation at a time: what one was abandoned with, no other ever uses."""

    def __init__(self, finder: Finder, place: Place, links: dict[Seat, Link] | None = None) -> None:
        self.finder, self.place, self.links = finder, place, links or {}
        self.primary: int | None = None
        self.busy: Seat | None = None  # whose connection is in use
        self.link: Link | None = None  # the connection in use
        self.asked = ""

    async def at_primary(self) -> Link:
        if self.primary is None:
            self.primary = await self.finder.find()
        return await self.at(self.primary)

    async def at_own(self) -> Link:
        """For looks alone, at whatever node it is placed."""
        return await self.at(self.place.next(), own=True)

    async def at(self, node: int, *, own: bool = False) -> Link:
        """Raises Failed where it cannot be connected to."""
        seat = self.busy = (node, own)
        self.asked = self.finder.servers[node].name
        if seat not in self.links:
            try:
                self.links[seat] = await self.finder.servers[node].connect(own)
            except (Refusal, Gone) as error:
                self.forget()
                raise Failed(str(error)) from None
        self.link = self.links[seat]
        return self.link

    def forget(self) -> None:
        """The connection in use is closed; who is the primary is asked again."""
        self.primary = self.link = None
        self.place.failed()
        if self.busy is not None and (link := self.links.pop(self.busy, None)):
            link.drop()

    def rest(self) -> "Hand":
        """The connections that are not in use, for who comes next; this one keeps the other."""
        links = {seat: link for seat, link in self.links.items() if seat != self.busy}
        self.links = {seat: link for seat, link in self.links.items() if seat == self.busy}
        self.place.failed()
        return Hand(self.finder, self.place, links)

    def close(self) -> None:
        for link in self.links.values():
            link.drop()
        self.links.clear()


def give_up(task: "asyncio.Task[Any]", hand: Hand) -> None:
    """A connection that is waited for is cut, and closed only when its task is done.

    Closed before, its number in the system could be another connection's while the task still waits for it;
    cancelled, the task would first ask the server to cancel the query, and wait for that.
    """
    task.add_done_callback(lambda task: _ended(task, hand))
    if hand.link:
        hand.link.cut()
    else:
        task.cancel()


def _ended(task: "asyncio.Task[Any]", hand: Hand) -> None:
    hand.close()
    if not task.cancelled():
        task.exception()  # so that nobody complains that it was not looked at
