from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import httpx

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

    def lay_out(self, site: Site) -> list[Server]:
        binary, rows = ETCD.get(), list(zip(self.names, site.places, site.ports(2379, 2380), strict=True))
        members = ",".join(f"{name}=http://{place.host}:{peer}" for name, place, (_, peer) in rows)
        return [
            Server(
                name, f"{place.host}:{client}", site.directory, place,
                (binary, *_flags(site, name, f"http://{place.host}:{client}", f"http://{place.host}:{peer}", members)),
            )
            for name, place, (client, peer) in rows
        ]  # fmt: skip

    def ready(self, cluster: "Cluster") -> bool:
        return all(_healthy(node.address) for node in cluster.nodes)


def _flags(site: Site, name: str, client: str, peer: str, members: str) -> list[str]:
    flags = {
        "name": name,
        "data-dir": site.clear(f"{name}.data"),
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": members,
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
