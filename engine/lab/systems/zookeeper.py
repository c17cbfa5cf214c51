import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from engine.lab.links import Door
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
    linked: ClassVar[str] = (
        "servers, and clients and each server (the ports for the others are open on all addresses of this machine then)"
    )

    def lay_out(self, site: Site) -> list[Server]:
        numbers = site.ports_with(ADMIN, 2181, 2888, 3888)
        doors = [
            (site.door(f"{host}:{peer}"), site.door(f"{host}:{election}"))
            for host, (_, peer, election) in zip(site.hosts, numbers, strict=True)
        ]
        return [
            self._server(site, i + 1, place, row[0], doors)
            for i, (place, row) in enumerate(zip(site.places, numbers, strict=True))
        ]

    def _server(
        self, site: Site, number: int, place: Place, port: int, doors: list[tuple[Door, Door]]
    ) -> Server:
        name, own = self.names[number - 1], site.door(f"{place.host}:{port}")
        members = "\n".join(_member(i + 1, i + 1 == number, *pair) for i, pair in enumerate(doors))
        folder, file = site.fresh(f"{name}.data"), site.directory / f"{name}.cfg"
        (folder / "myid").write_text(f"{number}\n")
        file.write_text(
            CONF.format(folder=folder, port=port, host=place.host, admin=port + ADMIN,
                        members=members if self.nodes > 1 else "")
        )  # fmt: skip
        argv = (JAVA.get(), *FLAGS, "-cp", ":".join((ZOOKEEPER.get(), *BESIDE)), MAIN, str(file))
        return Server(
            name, own.listen, site.directory, place, argv, behind=own.upstream, doors=doors[number - 1]
        )

    def ready(self, cluster: "Cluster") -> bool:
        modes = sorted(_mode(node) for node in cluster.nodes)
        return modes == ["follower"] * (self.nodes - 1) + ["leader" if self.nodes > 1 else "standalone"]


def _member(number: int, itself: bool, peer: Door, election: Door) -> str:
    """How a server is told of one of the ensemble. Behind links, of itself by a wildcard: it tells the others at
    which address it listens, and they would connect to that and pass by its link, but for 0.0.0.0, of which they
    take no notice (QuorumCnxManager)."""
    host, _, port = peer.listen.rpartition(":")
    port_for_votes = election.listen.rpartition(":")[2]
    if itself and peer.listen != peer.upstream:
        host, port, port_for_votes = "0.0.0.0", *(d.upstream.rpartition(":")[2] for d in (peer, election))
    return f"server.{number}={host}:{port}:{port_for_votes}"


def _mode(node: Server) -> str:
    """`leader`, `follower` or `standalone`; "" where it does not serve."""
    try:
        with socket.create_connection((node.host, node.port), timeout=1.0) as connection:
            connection.sendall(b"srvr")
            text = connection.makefile("rb").read().decode(errors="replace")
    except OSError:
        return ""
    return text.partition("Mode: ")[2].split("\n")[0].strip()
