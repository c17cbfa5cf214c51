"""A PostgreSQL client over a few kept connections, each of which carries one query at a time.

A query that its caller gives up leaves its connection busy until the late answer has come, and no longer
than STALE seconds.
"""

import asyncio
import os
from dataclasses import dataclass, field
from typing import Any

from engine.wire import Lost, NotConnected, Overload, WireError

STALE = 2.0  # seconds; an abandoned query unanswered for so long is cancelled, with its connection
Row = tuple[Any, ...]


def log_in(user: str = "", password: str = "", database: str = "") -> dict[str, Any]:
    """What libpq is told; what is left out here it takes from PGPASSWORD or ~/.pgpass."""
    return {
        "user": user or os.environ.get("PGUSER", "postgres"),
        "dbname": database or os.environ.get("PGDATABASE", "postgres"),
        "client_encoding": "utf8",
        **({"password": password} if password else {}),
    }


class ServerError(Exception):
    """What the server itself said."""


@dataclass(eq=False)
class Postgres:
    """`login` is what libpq is told (user, password, dbname); what is left out, it finds for itself."""

    host: str
    port: int
    login: dict[str, Any]
    connections: int = 16
    _idle: list[Any] = field(default_factory=list)
    _open: int = 0
    _over: bool = False
    _tasks: set["asyncio.Task[Row | None]"] = field(default_factory=set)

    async def ask(self, query: str) -> Row | None:
        """The first row. Raises ServerError or WireError."""
        connection = await self._kept() or await self._connect()
        task = asyncio.get_running_loop().create_task(self._run(connection, query))
        self._tasks.add(task)
        task.add_done_callback(self._done)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            asyncio.get_running_loop().call_later(STALE, task.cancel)
            raise

    def _done(self, task: "asyncio.Task[Row | None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # so that nobody complains that an abandoned one was not looked at

    async def _kept(self) -> Any:
        """A connection that the server has not closed meanwhile; None where there is none."""
        import psycopg

        while self._idle:
            connection = self._idle.pop()
            try:
                connection.pgconn.consume_input()
                connection.pgconn.consume_input()  # the farewell came before the end
                return connection
            except psycopg.Error:
                await self._drop(connection)
        return None

    async def _connect(self) -> Any:
        import psycopg

        if self._open >= self.connections:
            raise Overload(f"all {self.connections} connections are busy")
        self._open += 1
        try:
            return await psycopg.AsyncConnection.connect(
                host=self.host, port=self.port, autocommit=True, gssencmode="disable",
                application_name="chaosboard", **self.login,
            )  # fmt: skip
        except BaseException as error:
            self._open -= 1
            if isinstance(error, psycopg.Error):
                raise _refused(str(error)) from None
            raise

    async def _run(self, connection: Any, query: str) -> Row | None:
        import psycopg

        try:
            cursor = await connection.execute(query)
            row: Row | None = await cursor.fetchone()
        except psycopg.Error as error:
            told = ServerError(error.diag.message_primary) if error.diag.message_primary else None
            raise told or Lost(_first_line(str(error))) from None
        finally:
            if self._over or connection.closed or connection.broken:
                await self._drop(connection)
            else:
                self._idle.append(connection)
        return row

    async def _drop(self, connection: Any) -> None:
        self._open -= 1
        await connection.close()  # at once: it waits for nobody

    async def close(self) -> None:
        self._over = True
        for task in list(self._tasks):
            task.cancel()
        for connection in self._idle:
            await connection.close()
        self._idle = []


def _refused(text: str) -> WireError | ServerError:
    """What libpq says of a connection that it did not get, as the error that it means."""
    if "FATAL:" in text:
        return ServerError(_first_line(text.rpartition("FATAL:")[2]))
    if "Connection refused" in text:
        return NotConnected("connection refused")
    return NotConnected(_first_line(text.partition("failed: ")[2] or text))


def _first_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[0] if lines else "the connection was lost"
