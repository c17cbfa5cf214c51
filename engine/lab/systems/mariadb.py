import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from engine.lab.links import Door
from engine.lab.places import Place
from engine.lab.programs import MARIADB, MARIADB_CLIENT, MARIADB_INSTALL, Program, run
from engine.lab.server import Server
from engine.lab.site import Site
from engine.lab.systems import System
from engine.parameters import param

if TYPE_CHECKING:
    from engine.lab.cluster import Cluster

DATABASE = "lab"
FLAGS = (
    "--skip-name-resolve", "--innodb-buffer-pool-size=16M", "--innodb-log-file-size=8M", "--key-buffer-size=1M",
    "--performance-schema=OFF", "--max-connections=100", "--log-bin=binlog", "--log-slave-updates",
    "--gtid-strict-mode", "--binlog-format=ROW", "--slave-net-timeout=4",
)  # fmt: skip
EVERYBODY = """\
SET sql_log_bin = 0;
CREATE OR REPLACE USER root@'%' IDENTIFIED BY '';
GRANT ALL ON *.* TO root@'%' WITH GRANT OPTION;
SET sql_log_bin = 1;
"""
PRIMARY = f"CREATE DATABASE {DATABASE};\n"
REPLICA = """\
CHANGE MASTER TO MASTER_HOST='{host}', MASTER_PORT={port}, MASTER_USER='root', MASTER_USE_GTID=slave_pos, \
MASTER_CONNECT_RETRY=1;
START SLAVE;
SET GLOBAL read_only = 1;
"""


@dataclass(frozen=True)
class Mariadb(System):
    """A MariaDB server, or a primary and replicas that follow it by GTID; the database is called lab."""

    kinds: ClassVar[Mapping[str, str]] = {"": "mariadb"}
    needs: ClassVar[tuple[Program, ...]] = (MARIADB, MARIADB_INSTALL, MARIADB_CLIENT)
    linked: ClassVar[str] = "the primary and its replicas, and clients and each of them"

    nodes: int = param(1, help="how many nodes, the primary among them", least=1, most=5)

    def lay_out(self, site: Site) -> list[Server]:
        template = self._template(site)
        numbers = [port for (port,) in site.ports(3306)]
        doors = [site.door(f"{place.host}:{port}") for place, port in zip(site.places, numbers, strict=True)]
        host, _, port = doors[0].listen.rpartition(":")
        told = [PRIMARY] + [REPLICA.format(host=host, port=port)] * (self.nodes - 1)
        return [
            self._server(site, number, place, door, EVERYBODY + once, template)
            for number, (place, door, once) in enumerate(zip(site.places, doors, told, strict=True))
        ]

    def _template(self, site: Site) -> Path:
        """The data of an empty server: to make it takes seconds, to copy it does not."""
        folder = site.fresh("template")
        run(
            MARIADB_INSTALL.get(), *_where(folder), "--auth-root-authentication-method=normal",
            "--skip-test-db", "--innodb-log-file-size=8M",
        )  # fmt: skip
        return folder

    def _server(self, site: Site, number: int, place: Place, door: Door, once: str, template: Path) -> Server:
        name, own = self.names[number], site.door(door.upstream)
        data, init = site.clear(f"{name}.data"), _init_file(site, name)
        shutil.copytree(template, data)
        with open(init, "w") as file:
            file.write(once)
        argv = (
            MARIADB.get(), *_where(data), *FLAGS, f"--bind-address={place.host}",
            f"--port={door.upstream.rpartition(':')[2]}",
            f"--socket={data}/sock", f"--server-id={number + 1}", f"--init-file={init}",
            f"--log-error={site.directory / name}.log",
        )  # fmt: skip
        return Server(name, own.listen, site.directory, place, argv, behind=own.upstream, doors=(door,))

    def form(self, cluster: "Cluster") -> None:
        """What a node is told when it starts first, it is not told again when it starts once more."""
        cluster.launch(cluster.servers)
        cluster.wait()
        for node in cluster.nodes:
            with open(_init_file(cluster.site, node.name), "w"):
                pass

    def ready(self, cluster: "Cluster") -> bool:
        return all(map(_serves, cluster.nodes)) and (
            sum(map(_follows, cluster.nodes)) == len(cluster.nodes) - 1
        )


def _where(data: Path) -> tuple[str, ...]:
    user = ("--user=root",) if os.geteuid() == 0 else ()
    return ("--no-defaults", f"--datadir={data}", *user)


def _init_file(site: Site, name: str) -> str:
    return str(site.directory / f"{name}.sql")


def _ask(node: Server, query: str) -> str:
    """What the server answers, as a table of text; "" where it does not."""
    argv = (MARIADB_CLIENT.get(), "--no-defaults", "-h", node.host, "-P", str(node.port), "-u", "root",
            "--connect-timeout=1", "-E", "-e", query)  # fmt: skip
    done = subprocess.run(argv, capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else ""


def _serves(node: Server) -> bool:
    return f"Database ({DATABASE})" in _ask(node, f"SHOW DATABASES LIKE '{DATABASE}'")


def _follows(node: Server) -> bool:
    told = _ask(node, "SHOW SLAVE STATUS")
    return "Slave_IO_Running: Yes" in told and "Slave_SQL_Running: Yes" in told
