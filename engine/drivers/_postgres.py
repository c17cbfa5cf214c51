"""How PostgreSQL servers are asked, and the standbys of a primary found on this host."""

from dataclasses import dataclass
from typing import Any

import psutil

from engine.errors import EngineError, Refused, Unreachable
from engine.target import split_address
from engine.wire.postgres import log_in

TIMEOUT = 2  # seconds for a server to take a connection
PATIENT = 15_000  # milliseconds for one statement
OWN = "SELECT setting FROM pg_file_settings WHERE name = 'primary_conninfo' AND sourcefile = %s"
LISTEN = psutil.CONN_LISTEN
ROOM = (  # a standby with less of these than its primary does not start
    "max_connections", "max_worker_processes", "max_wal_senders", "max_prepared_transactions",
    "max_locks_per_transaction",
)  # fmt: skip


@dataclass(frozen=True)
class Standby:
    """One that streams from a primary: its address, and the pid of its main process on this host."""

    address: str
    pid: int


def ask(address: str, query: Any, *values: Any) -> list[tuple[Any, ...]]:
    """All rows. Raises Unreachable, or EngineError with the server's own words."""
    import psycopg  # not above: far hosts may have none

    host, port = split_address(address)
    try:
        with psycopg.connect(
            host=host, port=port, autocommit=True, connect_timeout=TIMEOUT, gssencmode="disable",
            options=f"-c statement_timeout={PATIENT}", application_name="chaosboard", **log_in(),
        ) as connection:  # fmt: skip
            cursor = connection.execute(query, values or None)
            return cursor.fetchall() if cursor.description else []
    except psycopg.OperationalError as error:
        text = str(error).strip().splitlines()[-1]
        raise Unreachable(f"{address} does not answer: {text}.", "Is it running?") from None
    except psycopg.Error as error:
        raise EngineError(f"{address} says: {error.diag.message_primary or error}.") from None


def show(address: str, *names: str) -> list[str]:
    """The values of settings, in the order of `names`; "" where the server has no such setting."""
    row = ask(address, f"SELECT {', '.join(['current_setting(%s, true)'] * len(names))}", *names)[0]
    return [value or "" for value in row]


def is_standby(address: str) -> bool | None:
    """None where it does not answer."""
    try:
        return bool(ask(address, "SELECT pg_is_in_recovery()")[0][0])
    except Unreachable:
        return None


def cluster(address: str) -> int:
    """The identifier that a primary and its standbys have in common."""
    return int(ask(address, "SELECT system_identifier FROM pg_control_system()")[0][0])


def source_of(address: str) -> int | None:
    """The port that a standby streams from now; None where it does not stream."""
    found = _sender(address)
    return found[1] if found else None


def sender_of(address: str) -> str | None:
    """The address that a standby streams from now; None where it does not stream, or not over TCP."""
    host, port = _sender(address) or ("/", 0)
    return None if host.startswith("/") else _at(host, port)


def _sender(address: str) -> tuple[str, int] | None:
    query = "SELECT sender_host, sender_port FROM pg_stat_wal_receiver WHERE status = 'streaming'"
    rows = ask(address, query)
    return (rows[0][0], int(rows[0][1])) if rows and rows[0][0] else None


def _at(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def standbys_of(address: str) -> list[Standby]:
    """Those that stream from the primary over TCP and run on this host.

    A primary knows its standbys by the sockets that they came from; whoever holds such a socket here
    is a standby's receiver, a child of its main process.
    """
    query = "SELECT client_addr::text, client_port FROM pg_stat_replication WHERE state = 'streaming'"
    wanted = {(host.split("/")[0], port) for host, port in ask(address, query) if host}
    if not wanted:
        return []
    sockets: list[Any] = [c for c in psutil.net_connections("tcp") if c.laddr and c.pid]
    receivers = [s for s in sockets if s.status != LISTEN and (s.laddr.ip, s.laddr.port) in wanted]
    found = [one for s in receivers if (one := _standby(s.pid, s.laddr.ip, sockets))]
    return [one for one in found if cluster(one.address) == cluster(address)]


def _standby(receiver: int, host: str, sockets: list[Any]) -> Standby | None:
    """The one whose receiver it is; it is reached by the address that its receiver came from."""
    try:
        main = psutil.Process(receiver).ppid()
    except psutil.NoSuchProcess:
        return None
    ports = [s.laddr.port for s in sockets if s.pid == main and s.status == LISTEN]
    if not ports:
        return None
    return Standby(_at(host, ports[0]), main)


def source_for(to: str) -> str:
    """The primary_conninfo by which its primary would follow the standby at `to`, as that follows now."""
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    told = conninfo_to_dict(show(to, "primary_conninfo")[0])
    host, port = split_address(to)
    for name in ("hostaddr", "application_name", "dbname"):
        told.pop(name, None)
    return make_conninfo("", **{**told, "host": host, "port": port})


def let_in(source: str, to: str) -> None:
    """Raises Refused where `to` would not let a standby in that comes by `source`."""
    import psycopg

    try:
        with psycopg.connect(source, replication="true", connect_timeout=TIMEOUT, autocommit=True) as one:
            one.pgconn.exec_(b"IDENTIFY_SYSTEM")
    except psycopg.Error as error:
        text = str(error).strip().splitlines()[-1]
        raise Refused(
            f"{to} would not let the old primary follow it: {text}.", "Let it in by pg_hba.conf."
        ) from None


def cramped(address: str, to: str) -> list[str]:
    """The settings of which the server at `address` has too little to be a standby of `to`."""
    pairs = zip(ROOM, show(address, *ROOM), show(to, *ROOM), strict=True)
    return [name for name, mine, its in pairs if int(mine) < int(its)]


def remembered(address: str, data: str) -> str | None:
    """The primary_conninfo that ALTER SYSTEM has written; None where it has not."""
    rows = ask(address, OWN, f"{data}/postgresql.auto.conf")
    return str(rows[-1][0]) if rows else None


def remember(address: str, source: str | None) -> None:
    """Sets primary_conninfo by ALTER SYSTEM, or takes it out (None): heeded by standbys, when they reload."""
    from psycopg import sql

    if source is None:
        ask(address, "ALTER SYSTEM RESET primary_conninfo")
    else:
        ask(address, sql.SQL("ALTER SYSTEM SET primary_conninfo TO {}").format(sql.Literal(source)))
