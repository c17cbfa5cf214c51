import contextlib
import os
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from engine.calls import Use
from engine.clients import Client, Kept
from engine.clients._hands import Gone, Link, Refusal, Rows, Server
from engine.clients._sql import WHAT, Dialect, SqlKept
from engine.parameters import param
from engine.target import Node, Target
from engine.wire.postgres import log_in

LEVELS = ("read-committed", "repeatable-read", "serializable")
UNSURE = ("08", "57P", "58", "XX", "40003")  # states after which a commit may have happened all the same
MILD = ("40001", "40P01", "55P03")  # lost against another transaction, or did not get a lock
UPSERT = "INSERT INTO {t} (k, %s, n) VALUES (%%s, %%s, 1) ON CONFLICT (k) DO UPDATE SET %s, n = {t}.n + 1 RETURNING n"
NOTICES = """SELECT set_config(name, '100', false) FROM pg_settings WHERE name = 'client_connection_check_interval'"""
TABLES = (
    "CREATE TABLE IF NOT EXISTS {t} (k text PRIMARY KEY, v text, c bigint, n bigint)",
    "CREATE TABLE IF NOT EXISTS {t}_q (id bigserial PRIMARY KEY, v bigint)",
)


@dataclass(frozen=True)
class Postgres(Client):
    """Rows of a table of its own in PostgreSQL, changed at the primary; reads from replicas are reads of any node."""

    isolation: str = param(
        "serializable", choices=LEVELS, help="of every transaction, and of single statements"
    )
    lock: bool = param(False, help="transactions lock what they read (SELECT … FOR UPDATE)")
    user: str = param("", help="the role to log in as; $PGUSER or postgres if empty")
    password: str = param("", help="its password; $PGPASSWORD or ~/.pgpass if empty")
    database: str = param("", help="the database; $PGDATABASE or postgres if empty")
    keeps: ClassVar[frozenset[str]] = frozenset(WHAT)

    def open(self, target: Target, use: Use) -> Kept:
        level = self.isolation.replace("-", " ").upper()
        dialect = Dialect(
            begin=(f"BEGIN ISOLATION LEVEL {level}",),
            look=(f"BEGIN ISOLATION LEVEL {_of_looks(level)}",),
            tables=TABLES,
            put=UPSERT % ("v", "v = EXCLUDED.v"),
            add=UPSERT % ("c", "c = {t}.c + EXCLUDED.c"),
            append=UPSERT % ("v", "v = {t}.v || EXCLUDED.v"),
            old_tables="SELECT tablename FROM pg_tables WHERE tablename LIKE 'chaosboard\\_%%' AND schemaname = 'public'",
            tells_cas=True,
        )
        login = log_in(self.user, self.password, self.database)
        servers = [Server(node.name, _connector(node, login, level), _rank) for node in target.nodes]
        return SqlKept(target, use, dialect, servers, self.lock)


def _of_looks(level: str) -> str:
    """A standby takes no serializable transaction; repeatable read is the strictest that it has."""
    return "REPEATABLE READ" if level == "SERIALIZABLE" else level


def _connector(node: Node, login: dict[str, Any], level: str) -> Callable[[bool], Awaitable[Link]]:
    async def connect(own: bool) -> Link:
        import psycopg

        escaped = (_of_looks(level) if own else level).lower().replace(" ", "\\ ")
        try:
            link = _Link(
                await psycopg.AsyncConnection.connect(
                    host=node.host, port=node.port, autocommit=True, gssencmode="disable",
                    options=f"-c default_transaction_isolation={escaped}",
                    prepare_threshold=None, application_name="chaosboard", **login,
                )
            )  # fmt: skip
        except psycopg.Error as error:
            raise Gone(_line(error)) from None
        try:
            await link.ask(NOTICES)  # a server that waits for a lock sees, too, that nobody waits for it
        except BaseException:
            link.drop()
            raise
        return link

    return connect


async def _rank(link: Link) -> int:
    rows = await link.ask("SELECT pg_is_in_recovery(), (pg_control_checkpoint()).timeline_id")
    return -1 if rows[0][0] else int(rows[0][1])


class _Link(Link):
    def __init__(self, connection: Any) -> None:
        self.connection = connection

    async def ask(self, query: str, *given: Any) -> Rows:
        cursor = await self._execute(query, given)
        return list(await cursor.fetchall()) if cursor.description else []

    async def changed(self, query: str, *given: Any) -> int:
        return int((await self._execute(query, given)).rowcount)

    async def _execute(self, query: str, given: tuple[Any, ...]) -> Any:
        import psycopg

        try:
            return await self.connection.execute(query, given)
        except psycopg.Error as error:
            state = error.diag.sqlstate
            if state:
                sure, mild = not state.startswith(UNSURE), state in MILD
                raise Refusal(_line(error), sure=sure, mild=mild) from None
            raise Gone(_line(error)) from None

    def cut(self) -> None:
        if self.connection.closed:
            return
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(self.connection.fileno())) as other:
            other.shutdown(socket.SHUT_RDWR)

    def drop(self) -> None:
        self.connection.pgconn.finish()


def _line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else "the connection was lost"
