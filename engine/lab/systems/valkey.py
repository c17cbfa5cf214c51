from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import redis

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

ANNOUNCE = "replica-announce-ip {}\nreplica-announce-port {}\n"

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
    linked: ClassVar[str] = "everybody and each server: they tell each other one address of each"
    needs: ClassVar[tuple[Program, ...]] = (VALKEY,)

    nodes: int = param(3, help="how many servers, the primary among them; each has a Sentinel beside it",
                       least=3, most=9)  # fmt: skip

    def lay_out(self, site: Site) -> list[Server]:
        binary, numbers = VALKEY.get(), site.ports(6379, 26379)
        doors = [
            site.door(f"v{i + 1}", f"{host}:{port}")
            for i, (host, (port, _)) in enumerate(zip(site.hosts, numbers, strict=True))
        ]
        primary = doors[0].replace(":", " ")
        servers, watchers = [], []
        for i, (place, (port, watching)) in enumerate(zip(site.places, numbers, strict=True)):
            tail = ANNOUNCE.format(*doors[i].split(":")) + (f"replicaof {primary}\n" if i else "")
            conf = _write(site, f"v{i + 1}", place, port, SERVER_CONF + tail)
            servers.append(
                Server(
                    f"v{i + 1}",
                    doors[i],
                    site.directory,
                    place,
                    (binary, conf),
                    behind=f"{place.host}:{port}",
                )
            )
            conf = _write(site, f"s{i + 1}", place, watching, SENTINEL_CONF, master=MASTER, primary=primary,
                          quorum=self.nodes // 2 + 1)  # fmt: skip
            argv, address = (binary, conf, "--sentinel"), f"{place.host}:{watching}"
            watchers.append(Server(f"s{i + 1}", address, site.directory, place, argv, group=SENTINELS))
        return servers + watchers

    def form(self, cluster: "Cluster") -> None:
        """Sentinels look for replicas when they start and then every ten seconds: so they start last."""
        cluster.launch(cluster.nodes)
        cluster.wait(lambda: _replicated(cluster.nodes))
        cluster.launch(cluster.group(SENTINELS))
        cluster.wait()

    def ready(self, cluster: "Cluster") -> bool:
        others = self.nodes - 1
        return _replicated(cluster.nodes) and all(_watches(s, others) for s in cluster.group(SENTINELS))


def _write(site: Site, name: str, place: Place, port: int, conf: str, **more: Any) -> str:
    folder = site.fresh(name)
    log = site.directory / f"{name}.log"
    file: Path = folder / "node.conf"
    file.write_text(conf.format(host=place.host, port=port, folder=folder, log=log, **more))
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
