from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import httpx

from engine.lab.links import Door
from engine.lab.programs import ETCD, Program
from engine.lab.server import Server
from engine.lab.site import Site
from engine.lab.systems import System

if TYPE_CHECKING:
    from engine.lab.cluster import Cluster


@dataclass(frozen=True)
class Etcd(System):
    """An etcd cluster: a key-value store on Raft."""

    kinds: ClassVar[Mapping[str, str]] = {"": "etcd"}
    needs: ClassVar[tuple[Program, ...]] = (ETCD,)
    linked: ClassVar[str] = "members, and clients and each member"

    def lay_out(self, site: Site) -> list[Server]:
        rows = list(zip(self.names, site.places, site.ports(2379, 2380), strict=True))
        doors = {name: site.door(f"{place.host}:{peer}") for name, place, (_, peer) in rows}
        nodes = []
        for name, place, (client, _) in rows:
            own = site.door(f"{place.host}:{client}")
            argv = (ETCD.get(), *_flags(site, name, own, doors))
            nodes.append(
                Server(
                    name, own.listen, site.directory, place, argv, behind=own.upstream, doors=(doors[name],)
                )
            )
        return nodes

    def ready(self, cluster: "Cluster") -> bool:
        return all(_healthy(node.address) for node in cluster.nodes)


def _flags(site: Site, name: str, own: Door, peers: Mapping[str, Door]) -> list[str]:
    """All members know a member by the same URL, that of its door."""
    flags = {
        "name": name,
        "data-dir": site.clear(f"{name}.data"),
        "listen-client-urls": f"http://{own.upstream}",
        "advertise-client-urls": f"http://{own.listen}",
        "listen-peer-urls": f"http://{peers[name].upstream}",
        "initial-advertise-peer-urls": f"http://{peers[name].listen}",
        "initial-cluster": ",".join(f"{member}=http://{door.listen}" for member, door in peers.items()),
        "initial-cluster-state": "new",
        "heartbeat-interval": 100,
        "election-timeout": 1000,
        "logger": "zap",
        "log-outputs": site.directory / f"{name}.log",
    }
    return [word for flag, value in flags.items() for word in (f"--{flag}", str(value))]


def _healthy(address: str) -> bool:
    try:
        return httpx.get(f"http://{address}/health", timeout=1.0, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False
