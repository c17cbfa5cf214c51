import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from engine.lab.places import Place
from engine.lab.programs import JAVA, ZOOKEEPER, Program
from engine.lab.server import Server
from engine.lab.site import Site
from engine.lab.systems import System

if TYPE_CHECKING:
    from engine.lab.cluster import Cluster

CONF = """\
tickTime=500
initLimit=10
syncLimit=4
dataDir={folder}
clientPort={port}
clientPortAddress={host}
admin.serverAddress={host}
admin.serverPort={admin}
4lw.commands.whitelist=srvr,ruok,mntr
{members}
"""
ADMIN = 8080 - 2181  # from where clients come to where its admin server listens, as both are by default
FLAGS = (
    "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dzookeeper.jmx.log4j.disable=true",
    "-Djava.net.preferIPv4Stack=true",
)  # fmt: skip
BESIDE = ("/usr/share/java/slf4j-simple.jar", "/usr/share/java/servlet-api.jar")  # its log, its admin server
MAIN = "org.apache.zookeeper.server.quorum.QuorumPeerMain"


@dataclass(frozen=True)
class Zookeeper(System):
    """A ZooKeeper ensemble: a tree of small values on Zab."""

    kinds: ClassVar[Mapping[str, str]] = {"": "zookeeper"}
    needs: ClassVar[tuple[Program, ...]] = (JAVA, ZOOKEEPER)

    def lay_out(self, site: Site) -> list[Server]:
        numbers = site.ports_with(ADMIN, 2181, 2888, 3888)
        members = "\n".join(
            f"server.{i + 1}={host}:{peer}:{election}"
            for i, (host, (_, peer, election)) in enumerate(zip(site.hosts, numbers, strict=True))
        )
        return [
            self._server(site, i + 1, place, row[0], members if self.nodes > 1 else "")
            for i, (place, row) in enumerate(zip(site.places, numbers, strict=True))
        ]

    def _server(self, site: Site, number: int, place: Place, port: int, members: str) -> Server:
        name = self.names[number - 1]
        folder, file = site.fresh(f"{name}.data"), site.directory / f"{name}.cfg"
        (folder / "myid").write_text(f"{number}\n")
        file.write_text(
            CONF.format(folder=folder, port=port, host=place.host, admin=port + ADMIN, members=members)
        )
        argv = (JAVA.get(), *FLAGS, "-cp", ":".join((ZOOKEEPER.get(), *BESIDE)), MAIN, str(file))
        return Server(name, f"{place.host}:{port}", site.directory, place, argv)

    def ready(self, cluster: "Cluster") -> bool:
        modes = sorted(_mode(node) for node in cluster.nodes)
        return modes == ["follower"] * (self.nodes - 1) + ["leader" if self.nodes > 1 else "standalone"]


def _mode(node: Server) -> str:
    """`leader`, `follower` or `standalone`; "" where it does not serve."""
    try:
        with socket.create_connection((node.host, node.port), timeout=1.0) as connection:
            connection.sendall(b"srvr")
            text = connection.makefile("rb").read().decode(errors="replace")
    except OSError:
        return ""
    return text.partition("Mode: ")[2].split("\n")[0].strip()
