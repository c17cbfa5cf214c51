import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from engine.calls import Use
from engine.clients import Client, Kept
from engine.clients._hands import Gone, Link, Refusal, Rows, Server
from engine.clients._sql import WHAT, Dialect, SqlKept
from engine.parameters import param
from engine.target import Node, Target

LEVELS = ("read-uncommitted", "read-committed", "repeatable-read", "serializable")
UNSURE = (
    1053,
    1152,
    1158,
    1159,
    1160,
    1161,
    1180,
    1317,
    3100,
)  # errors after which a commit may have happened
MILD = (1020, 1205, 1213)  # lost against another transaction, or did not get a lock
CLIENT_ERRORS = range(2000, 3000)  # the client's own: the connection
UPSERT = "INSERT INTO {t} (k, %s, n) VALUES (%%s, %%s, 1) ON DUPLICATE KEY UPDATE %s, n = n + 1 RETURNING n"
TABLES = (
    "CREATE TABLE IF NOT EXISTS {t} (k varchar(64) PRIMARY KEY, v mediumtext, c bigint, n bigint) ENGINE=InnoDB",
    "CREATE TABLE IF NOT EXISTS {t}_q (id bigint AUTO_INCREMENT PRIMARY KEY, v bigint) ENGINE=InnoDB",
)


@dataclass(frozen=True)
class Mariadb(Client):
    """Rows of a table of its own in MariaDB or MySQL, changed at a node that is not read-only."""

    isolation: str = param(
        "serializable", choices=LEVELS, help="of every transaction, and of single statements"
    )
    lock: bool = param(False, help="transactions lock what they read (SELECT … FOR UPDATE)")
    user: str = param("", help="the account to log in as; $MYSQL_USER or root if empty")
    password: str = param("", help="its password; $MYSQL_PWD if empty")
    database: str = param("test", help="the database, which must be there")
    keeps: ClassVar[frozenset[str]] = frozenset(WHAT)

    def open(self, target: Target, use: Use) -> Kept:
        dialect = Dialect(
            begin=("BEGIN",),
            look=("BEGIN",),
            tables=TABLES,
            put=UPSERT % ("v", "v = VALUES(v)"),
            add=UPSERT % ("c", "c = c + VALUES(c)"),
            append=UPSERT % ("v", "v = CONCAT(v, VALUES(v))"),
            old_tables="SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()"
            " AND table_name LIKE 'chaosboard\\_%'",
            tells_cas=False,
        )
        login = {
            "user": self.user or os.environ.get("MYSQL_USER", "root"),
            "password": self.password or os.environ.get("MYSQL_PWD", ""),
            "db": self.database,
        }
        level = self.isolation.replace("-", " ").upper()
        servers = [Server(node.name, _connector(node, login, level), _rank) for node in target.nodes]
        return SqlKept(target, use, dialect, servers, self.lock)


def _connector(node: Node, login: dict[str, Any], level: str) -> Callable[[bool], Awaitable[Link]]:
    async def connect(own: bool) -> Link:
        import asyncmy

        try:
            connection = await asyncmy.connect(
                host=node.host, port=node.port, autocommit=True, connect_timeout=10,
                init_command=f"SET SESSION TRANSACTION ISOLATION LEVEL {level}", **login,
            )  # fmt: skip
        except (asyncmy.errors.Error, OSError, EOFError) as error:
            raise Gone(_line(error)) from None
        return _Link(connection)

    return connect


async def _rank(link: Link) -> int:
    rows = await link.ask("SELECT @@read_only")
    return -1 if int(rows[0][0]) else 0


class _Link(Link):
    def __init__(self, connection: Any) -> None:
        self.connection = connection

    async def ask(self, query: str, *given: Any) -> Rows:
        return (await self._execute(query, given))[0]

    async def changed(self, query: str, *given: Any) -> int:
        return (await self._execute(query, given))[1]

    async def _execute(self, query: str, given: tuple[Any, ...]) -> tuple[Rows, int]:
        import asyncmy

        try:
            async with self.connection.cursor() as cursor:
                count = await cursor.execute(query, given or None)
                rows = list(await cursor.fetchall()) if cursor.description else []
                return rows, int(count)
        except asyncmy.errors.Error as error:
            code = error.args[0] if error.args else 0
            if not isinstance(code, int) or code in CLIENT_ERRORS:
                raise Gone(_line(error)) from None
            raise Refusal(_line(error), sure=code not in UNSURE, mild=code in MILD) from None
        except (OSError, EOFError, RuntimeError) as error:
            raise Gone(_line(error)) from None

    def cut(self) -> None:
        self.connection.close()  # its transport tells who waits for an answer

    def drop(self) -> None:
        self.connection.close()


def _line(error: BaseException) -> str:
    told = error.args[-1] if error.args else ""
    return (str(told).strip().splitlines() or [type(error).__name__])[0]
