"""What each operation is in SQL, and when it may have happened."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import orjson

from engine.calls import MISMATCH, Answer, Call
from engine.clients import Failed, Unknown
from engine.clients._hands import Gone, Hand, Link, Refusal, Rows

if TYPE_CHECKING:
    from engine.clients._sql import SqlKept

GUARD = "guard"  # the key of the row that all who use a queue lock


class Doing:
    """One operation under way."""

    def __init__(self, kept: "SqlKept", hand: Hand, *, own: bool) -> None:
        self.kept, self.dialect, self.hand, self.own = kept, kept.dialect, hand, own
        self.committing = self.abandoned = False

    async def run(self, call: Call) -> Answer:
        try:
            return await DO[call.f](self, call)
        except Refusal as refusal:
            await self._roll_back(refusal)
            raise (Failed if refusal.sure or not self.committing else Unknown)(str(refusal)) from None
        except Gone as gone:
            self.hand.forget()
            raise (Unknown if self.committing else Failed)(str(gone)) from None

    async def _roll_back(self, refusal: Refusal) -> None:
        """One that lost against another transaction goes on at the same connection."""
        try:
            if not refusal.mild or self.hand.link is None:
                raise refusal
            await self.hand.link.ask("ROLLBACK")
        except (Refusal, Gone):
            self.hand.forget()

    def sql(self, text: str) -> str:
        return text.replace("{t}", self.kept.table)

    def commits(self) -> None:
        """What is sent now may happen. Raises Failed where the caller is gone."""
        if self.abandoned:
            raise Failed("no answer in time")
        self.committing = True

    async def one(self, text: str, *given: Any) -> Rows:
        """A single statement that changes something, and commits."""
        link = await self.hand.at_primary()
        self.commits()
        return await link.ask(self.sql(text), *given)

    async def look(self, text: str, *given: Any) -> Rows:
        link = await (self.hand.at_own() if self.own else self.hand.at_primary())
        return await link.ask(self.sql(text), *given)

    async def together(self, steps: "Callable[[Link], Awaitable[Any]]", *, changes: bool = True) -> Any:
        """Steps in one transaction, which is rolled back if they raise Failed."""
        own = self.own and not changes
        link = await (self.hand.at_own() if own else self.hand.at_primary())
        for statement in self.dialect.look if own else self.dialect.begin:
            await link.ask(statement)
        try:
            found = await steps(link)
        except Failed:
            await link.ask("ROLLBACK")
            raise
        if changes:
            self.commits()
        await link.ask("COMMIT")
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
            link = await self.hand.at_primary()
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


DO: dict[str, Callable[[Doing, Call], Awaitable[Answer]]] = {
    "read": Doing.read, "get": Doing.read, "write": Doing.write, "put": Doing.write, "cas": Doing.cas,
    "append": Doing.append, "add": Doing.add, "enqueue": Doing.enqueue, "dequeue": Doing.dequeue,
    "drain": Doing.drain, "transfer": Doing.transfer, "txn": Doing.txn,
}  # fmt: skip
