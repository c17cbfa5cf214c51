from dataclasses import dataclass
from typing import ClassVar

from engine.parameters import param
from engine.probes import GOOD, MARK, Leads, Probe, Reading, Session, View, failed, joining
from engine.samples import Status
from engine.target import Node
from engine.wire import Lost, WireError
from engine.wire.postgres import Postgres as Client
from engine.wire.postgres import ServerError, log_in

QUERIES = {
    "primary": "SELECT pg_is_in_recovery()",
    "select": "SELECT 1",
    "write": f"SELECT pg_logical_emit_message(true, '{MARK}', '')",
}
VIEW = (
    "SELECT pg_is_in_recovery(), sender_host, sender_port, pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery()"
    " THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, '0/0')::bigint FROM (SELECT) AS me"
    " LEFT JOIN pg_stat_wal_receiver ON status = 'streaming'"
)


@dataclass(frozen=True)
class Postgres(Probe):
    """Asks a PostgreSQL server; `primary` and `write` are answered well by the primary only.

    What a standby follows is seen only by a superuser or a member of pg_read_all_stats.
    """

    check: str = param(
        "primary",
        choices=("primary", "select", "write"),
        help="primary: is it the primary; select: any server that answers; write: commits an empty message "
        "to the log, in no table",
    )
    user: str = param("", help="the role to log in as; $PGUSER or postgres if empty")
    password: str = param("", help="its password; $PGPASSWORD or ~/.pgpass if empty")
    database: str = param("", help="the database; $PGDATABASE or postgres if empty")
    connections: int = param(16, help="how many connections are kept to one node", least=1, most=256)
    nodes: str = joining()
    leads: ClassVar[bool] = True

    @classmethod
    def reach(cls) -> Probe:
        return cls(check="select")

    def session(self, node: Node) -> Session:
        login = log_in(self.user, self.password, self.database)
        client = Client(node.host, node.port, login, self.connections)
        return _Session(self.check, client, _identity(node.upstream or node.address))


@dataclass(frozen=True)
class _Session(Session, Leads):
    check: str
    client: Client
    me: str

    async def look(self) -> Reading:
        try:
            row = await self.client.ask(QUERIES[self.check])
        except ServerError as error:
            return Reading(False, str(error))
        except WireError as error:
            return failed(error)
        if self.check == "primary" and row != (False,):
            return Reading(False, "it is a standby", Status.STANDBY)
        return GOOD

    async def view(self) -> View:
        try:
            row = await self.client.ask(VIEW)
        except ServerError as error:
            raise Lost(str(error)) from None
        standby, host, port, position = row or (True, None, None, None)
        if not standby:
            return View(self.me, self.me, position=position)
        if not host or host.startswith("/"):  # a socket in the filesystem has no address
            return View(self.me, None, position=position)
        leader = _identity(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
        return View(self.me, leader, position=position)

    async def close(self) -> None:
        await self.client.close()


def _identity(address: str) -> str:
    return address.replace("localhost:", "127.0.0.1:")
