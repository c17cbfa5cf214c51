import asyncio
import os
from dataclasses import dataclass, field
from typing import Any

from engine.parameters import param
from engine.probes import GOOD, Probe, Reading, Session, joining
from engine.samples import Status
from engine.target import Node

QUERIES = {"primary": "SELECT @@read_only", "select": "SELECT 0"}


@dataclass(frozen=True)
class Mariadb(Probe):
    """Asks a MariaDB or MySQL server over one kept connection; `primary` is answered well where it may be written."""

    check: str = param(
        "primary", choices=tuple(QUERIES), help="primary: may it be written; select: any server that answers"
    )
    user: str = param("", help="the account to log in as; $MYSQL_USER or root if empty")
    password: str = param("", help="its password; $MYSQL_PWD if empty")
    nodes: str = joining()

    @classmethod
    def reach(cls) -> Probe:
        return cls(check="select")

    def session(self, node: Node) -> Session:
        user = self.user or os.environ.get("MYSQL_USER", "root")
        return _Session(node, QUERIES[self.check], user, self.password or os.environ.get("MYSQL_PWD", ""))


@dataclass(eq=False)
class _Session(Session):
    """A look that finds the connection in use begins one of its own."""

    node: Node
    query: str
    user: str
    password: str
    idle: list[Any] = field(default_factory=list)

    async def look(self) -> Reading:
        import asyncmy

        connection = self.idle.pop() if self.idle else None
        kept = False
        try:
            connection = connection or await self._connect()
            async with connection.cursor() as cursor:
                await cursor.execute(self.query)
                (found,) = await cursor.fetchone()
            kept = True
            return Reading(False, "it is read-only", Status.STANDBY) if int(found) else GOOD
        except asyncmy.errors.Error as error:
            refused = isinstance(error.__context__, ConnectionRefusedError) or "[Errno 111]" in str(error)
            why = "connection refused" if refused else str(error.args[-1])
            return Reading(False, why, Status.CONNECTION)
        except (OSError, EOFError, RuntimeError, asyncio.IncompleteReadError) as error:
            return Reading(False, str(error) or "the connection was lost", Status.CONNECTION)
        finally:
            if kept:
                self.idle.append(connection)
            elif connection:
                connection.close()

    async def _connect(self) -> Any:
        import asyncmy

        return await asyncmy.connect(
            host=self.node.host, port=self.node.port, user=self.user, password=self.password, autocommit=True
        )

    async def close(self) -> None:
        for connection in self.idle:
            connection.close()
        self.idle.clear()
