import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, LiteralString

import psycopg

from engine.lab import programs
from engine.lab.places import Place
from engine.lab.programs import POSTGRES, Program
from engine.lab.rights import give, unprivileged
from engine.lab.server import Server
from engine.lab.site import Site
from engine.lab.systems import System
from engine.parameters import param

if TYPE_CHECKING:
    from engine.lab.cluster import Cluster

CONF = """
unix_socket_directories = ''
shared_buffers = 16MB
max_connections = 40
min_wal_size = 4MB
fsync = off
wal_retrieve_retry_interval = 100ms
"""
WHO = "host all all samenet trust\nhost replication all samenet trust\n"
STREAMS = "SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming'"


@dataclass(frozen=True)
class Postgres(System):
    """A PostgreSQL primary and standbys that stream from it; who leads is for a fault or a person to change."""

    kinds: ClassVar[Mapping[str, str]] = {"": "postgres"}
    needs: ClassVar[tuple[Program, ...]] = (POSTGRES,)
    linked: ClassVar[str] = "the primary and its standbys, and clients and each of them"

    nodes: int = param(2, help="how many nodes, the primary among them", least=1, most=5)

    def lay_out(self, site: Site) -> list[Server]:
        for name in self.names:
            os.chmod(give(site.fresh(f"{name}.data")), 0o700)
        self._make_primary(site)
        return [
            _server(site, name, place, port)
            for name, place, (port,) in zip(self.names, site.places, site.ports(5432), strict=True)
        ]

    def _make_primary(self, site: Site) -> None:
        data = site.directory / "n1.data"
        run(site.places[0], "initdb", "-D", str(data), "-U", "postgres", "-A", "trust", "--no-sync",
            "--no-locale", "--wal-segsize=1")  # fmt: skip
        for name, more in (("postgresql.conf", CONF), ("pg_hba.conf", WHO)):
            with (data / name).open("a") as file:
                file.write(more)

    def form(self, cluster: "Cluster") -> None:
        primary, *standbys = cluster.servers
        cluster.launch([primary])
        cluster.wait(lambda: ask(primary, "SELECT 1") == 1)
        for standby in standbys:
            host, _, port = primary.doors[0].listen.rpartition(":")
            source = f"host={host} port={port} user=postgres application_name={standby.name}"
            run(standby.place, "pg_basebackup", "-D", str(standby.data), "-d", source, "-R", "-c", "fast",
                "--no-sync")  # fmt: skip
            cluster.launch([standby])
        cluster.wait()

    def ready(self, cluster: "Cluster") -> bool:
        leads = [node for node in cluster.nodes if ask(node, "SELECT pg_is_in_recovery()") is False]
        return len(leads) == 1 and all(ask(node, STREAMS) for node in cluster.nodes if node not in leads)


def _server(site: Site, name: str, place: Place, port: int) -> Server:
    data, address = site.directory / f"{name}.data", f"{place.host}:{port}"
    own, door = site.door(address), site.door(address)
    argv = [POSTGRES.get(), "-D", str(data), "-p", str(port), "-c", f"listen_addresses={place.host}"]
    return Server(
        name, own.listen, site.directory, place, unprivileged(argv), own_pid_file=data / "postmaster.pid",
        behind=own.upstream, doors=(door,),
    )  # fmt: skip


def connect(host: str, port: int) -> "psycopg.Connection[Any]":
    return psycopg.connect(
        host=host, port=port, user="postgres", dbname="postgres", autocommit=True, connect_timeout=2,
        client_encoding="utf8",
    )  # fmt: skip


def ask(server: Server, query: LiteralString) -> Any:
    """The first value of the first row; None where the server does not answer."""
    with suppress(psycopg.OperationalError), connect(server.host, server.port) as connection:
        row = connection.execute(query).fetchone()
        return row[0] if row else None
    return None


def run(place: Place, program: str, *flags: str) -> None:
    programs.run(*place.command(unprivileged([str(Path(POSTGRES.get()).parent / program), *flags])))
