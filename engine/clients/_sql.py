"""Objects in the tables of an SQL server, over connections that carry one operation at a time.

Until COMMIT was sent, or a single statement that changes something, an operation that ends badly has certainly
not happened: its connection is closed, and the server takes it back.
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from engine.calls import Answer, Call, Place, Use
from engine.clients import LIFETIME, Failed, Kept, Session, Unknown
from engine.clients._hands import Finder, Gone, Hand, Link, Refusal, Server, give_up
from engine.clients._sql_doing import GUARD, Doing
from engine.target import Target

WHAT = ("register", "cas-register", "kv", "set", "queue", "counter", "bank", "list-append", "rw-register")


@dataclass(frozen=True)
class Dialect:
    """What differs between servers."""

    begin: tuple[str, ...]
    look: tuple[str, ...]  # begins a transaction that only reads, at any node
    tables: tuple[str, ...]
    put: str
    add: str
    append: str
    old_tables: str
    tells_cas: bool  # does an UPDATE give the new version back?


@dataclass(eq=False)
class SqlKept(Kept):
    target: Target
    use: Use
    dialect: Dialect
    servers: list[Server]
    lock: bool
    table: str = ""
    finder: Finder = field(init=False)

    def __post_init__(self) -> None:
        self.finder = Finder(self.servers)
        self.table = (
            f"chaosboard_{int(time.time()):x}_{re.sub('[^a-z0-9]', '', self.use.prefix.lower())[-8:]}"
        )

    def session(self, number: int, *, last: bool = False) -> "SqlSession":
        place = Place(len(self.servers), number, self.use.placement)
        return SqlSession(self, place, own=self.use.read_from == "replicas" and not last)

    async def prepare(self) -> None:
        await self._once(self._lay_out)

    async def remove(self) -> None:
        await self._once(self._drop)

    async def _lay_out(self, link: Link) -> None:
        """Old tables of loads that died are dropped, too."""
        for (name,) in await link.ask(self.dialect.old_tables):
            if _age(str(name)) > LIFETIME:
                await link.ask(f"DROP TABLE IF EXISTS {name}")
        for statement in self.dialect.tables:
            await link.ask(statement.replace("{t}", self.table))
        given = {**self.use.given, **({GUARD: 0} if self.use.what == "queue" else {})}
        for key, value in given.items():
            await link.ask(f"DELETE FROM {self.table} WHERE k = %s", key)
            await link.ask(f"INSERT INTO {self.table} (k, c, n) VALUES (%s, %s, 1)", key, value)

    async def _drop(self, link: Link) -> None:
        await link.ask(f"DROP TABLE IF EXISTS {self.table}")
        await link.ask(f"DROP TABLE IF EXISTS {self.table}_q")

    async def _once(self, act: Callable[[Link], Awaitable[None]]) -> None:
        """At the primary, what may be repeated."""
        hand = Hand(self.finder, Place(len(self.servers), 0, self.use.placement))

        async def acting() -> None:
            await act(await hand.at_primary())

        task = asyncio.get_running_loop().create_task(acting())
        try:
            await asyncio.shield(task)
        except (Refusal, Gone) as error:
            raise Unknown(str(error)) from None
        finally:
            give_up(task, hand)


def _age(table: str) -> float:
    """Seconds since the run that made it began; 0 where it is none of ours."""
    found = re.fullmatch(r"chaosboard_([0-9a-f]{8})_[a-z0-9]+(_q)?", table)
    return time.time() - int(found[1], 16) if found else 0.0


class SqlSession(Session):
    def __init__(self, kept: SqlKept, place: Place, *, own: bool) -> None:
        self.kept, self.own = kept, own
        self.hand = Hand(kept.finder, place)

    async def call(self, call: Call) -> Answer:
        """In a task of its own: what is cancelled keeps its connection, which is cut."""
        hand = self.hand
        hand.busy = hand.link = None
        doing = Doing(self.kept, hand, own=self.own)
        task = asyncio.get_running_loop().create_task(doing.run(call))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            doing.abandoned = True
            self.hand = hand.rest()
            give_up(task, hand)
            if not doing.committing:
                raise Failed("no answer in time, and nothing was committed") from None
            raise
        finally:
            self.asked = hand.asked

    async def close(self) -> None:
        self.hand.close()
