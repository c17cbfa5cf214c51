"""Objects in the tables of an SQL server, over connections that carry one operation at a time.

Until COMMIT was sent, or a single statement that changes something, an operation that ends badly has certainly
not happened: its connection is closed, and the server takes it back.
"""

import asyncio
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import orjson

from engine.calls import MISMATCH, Answer, Call, Place, Use
from engine.clients import LIFETIME, Failed, Kept, Session, Unknown
from engine.target import Target

WHAT = ("register", "cas-register", "kv", "set", "queue", "counter", "bank", "list-append", "rw-register")
FIND = 1.0  # seconds for a node to say whether it is the primary
GIVE_UP = 1.0  # seconds after which what was abandoned is given up, with its connection
GUARD = "guard"
Rows = list[tuple[Any, ...]]


class Refusal(Exception):
    """What the server said; `sure` where nothing of the statement, or of its transaction, can have happened.

    `conflict` where it gave way to another transaction, as it may at any time: server and connection are well.
    """

    def __init__(self, message: str, *, sure: bool, conflict: bool = False) -> None:
        super().__init__(message)
        self.sure, self.conflict = sure, conflict


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
    def drop(self) -> None:
        """Closes it at once, waiting for nobody."""


@dataclass(frozen=True)
class Dialect:
    """What differs between servers."""

    begin: tuple[str, ...]
    tables: tuple[str, ...]
    put: str
    add: str
    append: str
    old_tables: str
    tells_cas: bool  # does an UPDATE give the new version back?
    begin_look: tuple[str, ...] = ()  # what only reads, where a replica answers; empty where it is as any


@dataclass(eq=False)
class Server:
    """One node: how it is connected to, and whether it says that it is the primary."""

    name: str
    connect: Callable[[], Awaitable[Link]]  # raises Refusal or Gone
    rank: Callable[[Link], Awaitable[int]]  # the higher the newer a primary; -1 is none


@dataclass(eq=False)
class SqlKept(Kept):
    target: Target
    use: Use
    dialect: Dialect
    servers: list[Server]
    lock: bool
    table: str = ""

    def __post_init__(self) -> None:
        self.table = (
            f"chaosboard_{int(time.time()):x}_{re.sub('[^a-z0-9]', '', self.use.prefix.lower())[-8:]}"
        )

    def session(self, number: int, *, last: bool = False) -> "SqlSession":
        place = Place(len(self.servers), number, self.use.placement)
        return SqlSession(self, place, own=self.use.read_from == "replicas" and not last)

    async def prepare(self) -> None:
        """Old tables of loads that died are dropped, too."""
        statements = [statement.replace("{t}", self.table) for statement in self.dialect.tables]
        async with _Once(self) as link:
            for (name,) in await link.ask(self.dialect.old_tables):
                if _age(str(name)) > LIFETIME:
                    await link.ask(f"DROP TABLE IF EXISTS {name}")
            for statement in statements:
                await link.ask(statement)
            given = {**self.use.given, **({GUARD: 0} if self.use.what == "queue" else {})}
            for key, value in given.items():
                await link.ask(f"DELETE FROM {self.table} WHERE k = %s", key)
                await link.ask(f"INSERT INTO {self.table} (k, c, n) VALUES (%s, %s, 1)", key, value)

    async def remove(self) -> None:
        async with _Once(self) as link:
            await link.ask(f"DROP TABLE IF EXISTS {self.table}")
            await link.ask(f"DROP TABLE IF EXISTS {self.table}_q")


def _age(table: str) -> float:
    """Seconds since the run that made it began; 0 where it is none of ours."""
    found = re.fullmatch(r"chaosboard_([0-9a-f]{8})_[a-z0-9]+(_q)?", table)
    return time.time() - int(found[1], 16) if found else 0.0


class _Once:
    """A connection to the primary for what may be repeated."""

    def __init__(self, kept: SqlKept) -> None:
        self.session = kept.session(0)

    async def __aenter__(self) -> Link:
        return await self.session.at_primary()

    async def __aexit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        await self.session.close()
        if isinstance(error, Refusal | Gone):
            raise Unknown(str(error)) from None


class SqlSession(Session):
    def __init__(self, kept: SqlKept, place: Place, *, own: bool) -> None:
        self.kept, self.place, self.own = kept, place, own
        self.links: dict[int, Link] = {}
        self.primary: int | None = None
        self.busy: int | None = None  # the node whose link is in use
        self.committing = self.abandoned = False

    async def call(self, call: Call) -> Answer:
        """In a task of its own: what is cancelled leaves its connection to its end."""
        self.committing = self.abandoned = False
        self.busy = None
        doing = _Doing(self)
        task = asyncio.get_running_loop().create_task(doing.run(call))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            doing.abandoned = True
            self._give_up(task)
            if not doing.committing:
                raise Failed("no answer in time, and nothing was committed") from None
            raise

    def _give_up(self, task: "asyncio.Task[Answer]") -> None:
        link = self.links.pop(self.busy, None) if self.busy is not None else None
        self.primary = None
        self.place.failed()
        asyncio.get_running_loop().call_later(GIVE_UP, task.cancel)
        task.add_done_callback(lambda task: _ended(task, link))

    async def at_primary(self) -> Link:
        if self.primary is None:
            self.primary = await self._find()
        return await self.at(self.primary)

    async def at_own(self) -> Link:
        return await self.at(self.place.next())

    async def at(self, node: int) -> Link:
        """Raises Failed where it cannot be connected to."""
        self.busy = node
        self.asked = self.kept.servers[node].name
        if node not in self.links:
            try:
                self.links[node] = await self.kept.servers[node].connect()
            except (Refusal, Gone) as error:
                self.forget()
                raise Failed(str(error)) from None
        return self.links[node]

    async def _find(self) -> int:
        ranks = await asyncio.gather(*(self._rank(node) for node in range(len(self.kept.servers))))
        if max(ranks) < 0:
            raise Failed("no node says that it is the primary")
        return ranks.index(max(ranks))

    async def _rank(self, node: int) -> int:
        """-1 where it does not say in time."""
        server, link = self.kept.servers[node], None
        try:
            async with asyncio.timeout(FIND):
                link = await server.connect()
                return await server.rank(link)
        except (Refusal, Gone, TimeoutError):
            return -1
        finally:
            if link:
                link.drop()

    def forget(self) -> None:
        """The link in use is closed; who is the primary is asked again."""
        self.primary = None
        self.place.failed()
        if self.busy is not None and (link := self.links.pop(self.busy, None)):
            link.drop()

    async def close(self) -> None:
        for link in self.links.values():
            link.drop()
        self.links.clear()


def _ended(task: "asyncio.Task[Answer]", link: Link | None) -> None:
    if link:
        link.drop()
    if not task.cancelled():
        task.exception()  # so that nobody complains that it was not looked at


class _Doing:
    """One operation under way."""

    def __init__(self, session: SqlSession) -> None:
        self.session, self.kept, self.dialect = session, session.kept, session.kept.dialect
        self.committing = self.abandoned = False

    async def run(self, call: Call) -> Answer:
        try:
            return await DO[call.f](self, call)
        except Refusal as refusal:
            if not refusal.conflict:
                self.session.forget()
            raise (Failed if refusal.sure or not self.committing else Unknown)(str(refusal)) from None
        except Gone as gone:
            self.session.forget()
            raise (Unknown if self.committing else Failed)(str(gone)) from None

    def sql(self, text: str) -> str:
        return text.replace("{t}", self.kept.table)

    def commits(self) -> None:
        """What is sent now may happen. Raises Failed where the caller is gone."""
        if self.abandoned:
            raise Failed("no answer in time")
        self.committing = True

    async def one(self, text: str, *given: Any) -> Rows:
        """A single statement that changes something, and commits."""
        link = await self.session.at_primary()
        self.commits()
        return await link.ask(self.sql(text), *given)

    async def look(self, text: str, *given: Any) -> Rows:
        if self.session.own and self.dialect.begin_look:
            return list(await self.together(lambda link: link.ask(self.sql(text), *given), changes=False))
        link = await (self.session.at_own() if self.session.own else self.session.at_primary())
        return await link.ask(self.sql(text), *given)

    async def together(self, steps: "Callable[[Link], Awaitable[Any]]", *, changes: bool = True) -> Any:
        """Steps in one transaction, which is rolled back if they raise Failed."""
        own = self.session.own and not changes
        link = await (self.session.at_own() if own else self.session.at_primary())
        for statement in (own and self.dialect.begin_look) or self.dialect.begin:
            await link.ask(statement)
        try:
            found = await steps(link)
            if changes:
                self.commits()
            await link.ask("COMMIT")
        except Refusal as refusal:
            if refusal.conflict:
                await link.ask("ROLLBACK")
            raise
        except Failed:
            await link.ask("ROLLBACK")
            raise
        return found

    # Registers and texts

    async def read(self, call: Call) -> Answer:
        what = self.kept.use.what
        if what == "set":
            return Answer(sorted(int(k) for (k,) in await self.look("SELECT k FROM {t}")))
        if what == "bank":
            return Answer({k: int(c) for k, c in await self.look("SELECT k, c FROM {t}")})
        if what == "counter":
            rows = await self.look("SELECT c FROM {t} WHERE k = %s", call.key)
            return Answer(int(rows[0][0]) if rows else 0)
        rows = await self.look("SELECT v, n FROM {t} WHERE k = %s", call.key)
        return Answer(self.read_value(rows[0][0]), int(rows[0][1])) if rows else Answer(None, 0)

    def read_value(self, text: str | None) -> Any:
        return text if text is None or self.kept.use.what == "kv" else orjson.loads(text)

    def written(self, value: Any) -> str:
        return value if self.kept.use.what == "kv" else orjson.dumps(value).decode()

    async def write(self, call: Call) -> Answer:
        rows = await self.one(self.dialect.put, call.key, self.written(call.value))
        return Answer(call.value, int(rows[0][0]))

    async def cas(self, call: Call) -> Answer:
        old, new = map(self.written, call.value)
        text = "UPDATE {t} SET v = %s, n = n + 1 WHERE k = %s AND v = %s"
        if self.dialect.tells_cas:
            rows = await self.one(f"{text} RETURNING n", new, call.key, old)
            found = [int(n) for (n,) in rows]
        else:
            link = await self.session.at_primary()
            self.commits()
            found = [-1] * await link.changed(self.sql(text), new, call.key, old)
        if not found:
            raise Failed(MISMATCH)
        return Answer(call.value, found[0] if found[0] >= 0 else None)

    async def append(self, call: Call) -> Answer:
        rows = await self.one(self.dialect.append, call.key, call.value)
        return Answer(call.value, int(rows[0][0]))

    # Sets, counters, queues, accounts

    async def add(self, call: Call) -> Answer:
        if self.kept.use.what == "set":
            await self.one("INSERT INTO {t} (k) VALUES (%s)", str(call.value))
        else:
            await self.one(self.dialect.add, call.key, call.value)
        return Answer(call.value)

    async def enqueue(self, call: Call) -> Answer:
        async def steps(link: Link) -> None:
            await self._guard(link)
            await link.ask(self.sql("INSERT INTO {t}_q (v) VALUES (%s)"), call.value)

        await self.together(steps)
        return Answer(call.value)

    async def dequeue(self, call: Call) -> Answer:
        async def steps(link: Link) -> Any:
            await self._guard(link)
            rows = await link.ask(self.sql("SELECT id, v FROM {t}_q ORDER BY id LIMIT 1 FOR UPDATE"))
            if not rows:
                return None
            await link.ask(self.sql("DELETE FROM {t}_q WHERE id = %s"), rows[0][0])
            return int(rows[0][1])

        return Answer(await self.together(steps))

    async def drain(self, call: Call) -> Answer:
        async def steps(link: Link) -> Any:
            await self._guard(link)
            rows = await link.ask(self.sql("SELECT v FROM {t}_q ORDER BY id FOR UPDATE"))
            await link.ask(self.sql("DELETE FROM {t}_q"))
            return [int(v) for (v,) in rows]

        return Answer(await self.together(steps))

    async def _guard(self, link: Link) -> None:
        """One at a time: the order of the numbers is then the order of the commits."""
        await link.ask(self.sql("SELECT c FROM {t} WHERE k = %s FOR UPDATE"), GUARD)

    async def transfer(self, call: Call) -> Answer:
        """Reads both balances and writes both: it is the isolation that must keep others out."""
        source, to, amount = (call.value[name] for name in ("from", "to", "amount"))

        async def steps(link: Link) -> None:
            balance = self.sql("SELECT c FROM {t} WHERE k = %s" + self._locked())
            had, has = [int((await link.ask(balance, k))[0][0]) for k in (source, to)]
            if had < amount:
                raise Failed("not enough in the account")
            for key, value in ((source, had - amount), (to, has + amount)):
                await link.ask(self.sql("UPDATE {t} SET c = %s, n = n + 1 WHERE k = %s"), value, key)

        await self.together(steps)
        return Answer(call.value)

    def _locked(self) -> str:
        return " FOR UPDATE" if self.kept.lock else ""

    # Transactions

    async def txn(self, call: Call) -> Answer:
        changes = any(f != "r" for f, _, _ in call.value)

        async def steps(link: Link) -> list[Any]:
            return [[f, key, await self._step(link, f, key, value, changes)] for f, key, value in call.value]

        return Answer(await self.together(steps, changes=changes))

    async def _step(self, link: Link, f: str, key: str, value: Any, changes: bool) -> Any:
        if f == "w":
            await link.ask(self.sql(self.dialect.put), key, str(value))
        elif f == "append":
            await link.ask(self.sql(self.dialect.append), key, f"{value},")
        else:
            lock = self._locked() if changes else ""
            rows = await link.ask(self.sql("SELECT v FROM {t} WHERE k = %s" + lock), key)
            text = rows[0][0] if rows else None
            if self.kept.use.what == "list-append":
                return [int(one) for one in (text or "").split(",") if one]
            return None if text is None else int(text)
        return value


DO: dict[str, Callable[[_Doing, Call], Awaitable[Answer]]] = {
    "read": _Doing.read, "get": _Doing.read, "write": _Doing.write, "put": _Doing.write, "cas": _Doing.cas,
    "append": _Doing.append, "add": _Doing.add, "enqueue": _Doing.enqueue, "dequeue": _Doing.dequeue,
    "drain": _Doing.drain, "transfer": _Doing.transfer, "txn": _Doing.txn,
}  # fmt: skip
