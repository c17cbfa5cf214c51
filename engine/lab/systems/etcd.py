import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import httpx

from engine import ports
from engine.lab.places import Loopback
from engine.lab.programs import ETCD, Program
from engine.lab.server import HIDDEN, Server
from engine.lab.site import Site
from engine.lab.systems import System

if TYPE_CHECKING:
    from engine.lab.cluster import Cluster

DOMAIN = ".lab.invalid"
ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Etcd(System):
    """An etcd cluster: a key-value store on Raft."""

    kinds: ClassVar[Mapping[str, str]] = {"": "etcd"}
    needs: ClassVar[tuple[Program, ...]] = (ETCD,)
    linked: ClassVar[str] = "each pair of members, and clients and each member"

    def lay_out(self, site: Site) -> list[Server]:
        rows = list(zip(self.names, site.places, site.ports(2379, 2380), strict=True))
        peers = {name: f"{place.host}:{peer}" for name, place, (_, peer) in rows}
        urls = {
            name: f"http://{name}{DOMAIN}:80" if site.links else f"http://{at}" for name, at in peers.items()
        }
        led, environs = _lead(site, peers) if site.links else ([], {})
        nodes = []
        for name, place, (client, _) in rows:
            listens = f"{place.host}:{client}"
            door = site.door(name, listens)
            flags = _flags(site, name, f"http://{listens}", f"http://{door}", f"http://{peers[name]}", urls)
            environ = environs.get(name, {})
            nodes.append(
                Server(name, door, site.directory, place, (ETCD.get(), *flags), environ, behind=listens)
            )
        return [*led, *nodes]

    def ready(self, cluster: "Cluster") -> bool:
        return all(_healthy(node.address) for node in cluster.nodes)


def _flags(site: Site, name: str, client: str, door: str, peer: str, urls: Mapping[str, str]) -> list[str]:
    flags = {
        "name": name,
        "data-dir": site.clear(f"{name}.data"),
        "listen-client-urls": client,
        "advertise-client-urls": door,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": urls[name],
        "initial-cluster": ",".join(f"{member}={url}" for member, url in urls.items()),
        "initial-cluster-state": "new",
        "heartbeat-interval": 100,
        "election-timeout": 1000,
        "logger": "zap",
        "log-outputs": site.directory / f"{name}.log",
    }
    return [word for flag, value in flags.items() for word in (f"--{flag}", str(value))]


def _lead(site: Site, peers: Mapping[str, str]) -> tuple[list[Server], dict[str, dict[str, str]]]:
    """Leads each member to each other one over a link of their own: the servers that do it, and what the
    members' environments say of them.

    All members must know a member by the same URL, so the ways part after that: a name that nobody can
    resolve, asked of a proxy that each member has for itself.
    """
    numbers = dict(zip(peers, ports.choose(len(peers)), strict=True))
    ways = {
        number: {
            f"{other}{DOMAIN}": site.reach(name, other, at) for other, at in peers.items() if other != name
        }
        for name, number in numbers.items()
    }
    file = site.directory / "ways.json"
    file.write_text(json.dumps(ways))
    argv = (sys.executable, "-m", "engine.lab.socks", str(file))
    first = next(iter(numbers.values()))
    server = Server(
        "ways", f"127.0.0.1:{first}", site.directory, Loopback(), argv, {"PYTHONPATH": str(ROOT)}, HIDDEN
    )
    return [server], {name: {"HTTP_PROXY": f"socks5://127.0.0.1:{n}"} for name, n in numbers.items()}


def _healthy(address: str) -> bool:
    try:
        return httpx.get(f"http://{address}/health", timeout=1.0, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False
