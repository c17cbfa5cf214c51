from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import redis

from engine.lab.links import Door
from engine.lab.places import Place
from engine.lab.programs import VALKEY, Program
from engine.lab.server import Server
from engine.lab.site import Site
from engine.lab.systems import System
from engine.parameters import param

if TYPE_CHECKING:
    from engine.lab.cluster import Cluster

MASTER = "demo"
SENTINELS = "sentinels"

# A primary that came back does not know yet that it was replaced. It has no replicas then, and
# so `min-replicas-to-write` keeps it from acknowledging what would be lost a moment later.
SERVER_CONF = """\
bind {host}
protected-mode no
port {port}
set-proc-title no
dir {folder}
logfile {log}
save ""
appendonly yes
repl-diskless-sync-delay 0
min-replicas-to-write 1
"""

ANNOUNCE = "{0}announce-ip {1}\n{0}announce-port {2}\n"

# A Sentinel tries a lost link again once a second, and a promotion cuts every link: with less than
# a second of patience it takes the new primary for dead and replaces it a second time.
SENTINEL_CONF = """\
bind {host}
protected-mode no
port {port}
set-proc-title no
dir {folder}
logfile {log}
sentinel monitor {master} {primary} {quorum}
sentinel down-after-milliseconds {master} 1000
sentinel failover-timeout {master} 3000
sentinel parallel-syncs {master} 1
"""


@dataclass(frozen=True)
class Valkey(System):
    """A Valkey or Redis primary with replicas, watched by Sentinels that replace it when it dies."""

    kinds: ClassVar[Mapping[str, str]] = {"": "redis", SENTINELS: "tcp"}
    linked: ClassVar[str] = "servers and Sentinels, and clients and each server"
    needs: ClassVar[tuple[Program, ...]] = (VALKEY,)

    nodes: int = param(3, help="how many servers, the primary among them; each has a Sentinel beside it",
                       least=3, most=9)  # fmt: skip

    def lay_out(self, site: Site) -> list[Server]:
        numbers = site.ports(6379, 26379)
        doors = [
            tuple(site.door(f"{place.host}:{port}") for port in ports)
            for place, ports in zip(site.places, numbers, strict=True)
        ]
        primary = doors[0][0].listen
        pairs = [
            self._pair(site, i + 1, place, both, primary)
            for i, (place, both) in enumerate(zip(site.places, doors, strict=True))
        ]
        return [server for server, _ in pairs] + [sentinel for _, sentinel in pairs]

    def _pair(
        self, site: Site, i: int, place: Place, doors: tuple[Door, ...], primary: str
    ) -> tuple[Server, Server]:
        """A server and the Sentinel beside it, which share a node: whoever is cut from one is cut from both."""
        door, watching = doors
        host, _, port = door.upstream.rpartition(":")
        own, binary = site.door(door.upstream), VALKEY.get()
        at = primary.replace(":", " ")
        conf = SERVER_CONF + _announced("replica-", door) + (f"replicaof {at}\n" if i > 1 else "")
        argv = (binary, _write(site, f"v{i}", host, port, conf))
        server = Server(f"v{i}", own.listen, site.directory, place, argv, behind=own.upstream, doors=doors)
        host, _, port = watching.upstream.rpartition(":")
        conf = _announced("sentinel ", watching) + SENTINEL_CONF
        file = _write(site, f"s{i}", host, port, conf, master=MASTER, primary=at, quorum=self.nodes // 2 + 1)
        sentinel = Server(
            f"s{i}", watching.upstream, site.directory, place, (binary, file, "--sentinel"), group=SENTINELS,
            doors=doors,
        )  # fmt: skip
        return (
            replace(server, companions=(sentinel.pid_file,)),
            replace(sentinel, companions=(server.pid_file,)),
        )

    def form(self, cluster: "Cluster") -> None:
        """Sentinels look for replicas when they start and then every ten seconds: so they start last."""
        cluster.launch(cluster.nodes)
        cluster.wait(lambda: _replicated(cluster.nodes))
        cluster.launch(cluster.group(SENTINELS))
        cluster.wait()

    def ready(self, cluster: "Cluster") -> bool:
        others = self.nodes - 1
        return _replicated(cluster.nodes) and all(_watches(s, others) for s in cluster.group(SENTINELS))


def _announced(what: str, door: Door) -> str:
    """The address by which the others are to know it; nothing where that is its own."""
    host, _, port = door.listen.rpartition(":")
    return ANNOUNCE.format(what, host, port) if door.listen != door.upstream else ""


def _write(site: Site, name: str, host: str, port: str, conf: str, **more: Any) -> str:
    folder = site.fresh(name)
    log = site.directory / f"{name}.log"
    file: Path = folder / "node.conf"
    file.write_text(conf.format(host=host, port=port, folder=folder, log=log, **more))
    return str(file)


def _replicated(nodes: list[Server]) -> bool:
    roles = [_info(node) for node in nodes]
    leading = [r for r in roles if r.get("role") == "master"]
    return len(leading) == 1 and all(
        r.get("master_link_status") == "up" for r in roles if r is not leading[0]
    )


def _client(server: Server) -> "redis.Redis":
    return redis.Redis(host=server.host, port=server.port, socket_timeout=1, decode_responses=True)


def _info(server: Server) -> dict[str, Any]:
    try:
        with _client(server) as client:
            return dict(client.info("replication"))
    except redis.RedisError:
        return {}


def _watches(sentinel: Server, others: int) -> bool:
    """Does this Sentinel know all replicas and all other Sentinels?"""
    try:
        with _client(sentinel) as client:
            known = client.sentinel_master(MASTER)
    except redis.RedisError:
        return False
    return bool(known["num-slaves"] == others and known["num-other-sentinels"] == others)
