from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import httpx

from engine.lab.links import Door
from engine.lab.places import Place
from engine.lab.programs import NATS, Program
from engine.lab.server import Server
from engine.lab.site import Site
from engine.lab.systems import System
from engine.parameters import param
from engine.target import split_address

if TYPE_CHECKING:
    from engine.lab.cluster import Cluster

MONITOR = 4000  # 8222 for 4222: where NATS listens for those who ask how it is, from where clients come

CONF = """\
server_name: {name}
listen: "{host}:{port}"
http: "{host}:{monitor}"
pid_file: "{folder}/nats.pid"
jetstream {{ store_dir: "{folder}" }}
cluster {{
  name: lab
  listen: "{host}:{route}"
  advertise: "{door}"
  no_advertise: true
  routes: [{routes}]
}}
"""
Row = tuple[str, Place, int, int, Door]  # name, place, client port, route port, where others reach that


@dataclass(frozen=True)
class Nats(System):
    """NATS servers with JetStream, whose streams and whose own order are kept on Raft."""

    kinds: ClassVar[Mapping[str, str]] = {"": "nats"}
    needs: ClassVar[tuple[Program, ...]] = (NATS,)

    linked: ClassVar[str] = "servers, and clients and each server"

    nodes: int = param(3, help="how many nodes; it needs three to keep anything", least=3, most=9)

    def lay_out(self, site: Site) -> list[Server]:
        binary, rows = NATS.get(), self._rows(site)
        servers = []
        for row in rows:
            name, place, port, _, door = row
            own = site.door(f"{place.host}:{port}")
            argv = (binary, "-c", self._configure(site, row, rows))
            servers.append(
                Server(name, own.listen, site.directory, place, argv, behind=own.upstream, doors=(door,))
            )
        return servers

    def _rows(self, site: Site) -> list[Row]:
        numbers = site.ports_with(MONITOR, 4222, 6222)
        return [
            (name, place, client, route, site.door(f"{place.host}:{route}"))
            for name, place, (client, route) in zip(self.names, site.places, numbers, strict=True)
        ]

    def _configure(self, site: Site, row: Row, rows: list[Row]) -> str:
        """Servers tell one another of others, whom they reach as those advertise themselves."""
        name, place, port, route, own = row
        others = ", ".join(f'"nats://{door.listen}"' for other, *_, door in rows if other != name)
        folder = site.fresh(f"{name}.data")
        file = site.directory / f"{name}.conf"
        file.write_text(
            CONF.format(name=name, host=place.host, port=port, monitor=port + MONITOR, folder=folder,
                        route=route, door=own.listen, routes=others)
        )  # fmt: skip
        return str(file)

    def ready(self, cluster: "Cluster") -> bool:
        """Every server is well, and knows the same leader and all others."""
        found = [_jetstream(node) for node in cluster.nodes]
        return len({meta.get("leader") for meta in found}) == 1 and all(
            meta.get("leader") and meta.get("cluster_size") == self.nodes for meta in found
        )


def _jetstream(node: Server) -> dict[str, Any]:
    host, port = split_address(node.behind)
    url = f"http://{host}:{port + MONITOR}"
    try:
        if httpx.get(f"{url}/healthz", timeout=1.0, trust_env=False).status_code != 200:
            return {}
        return dict(httpx.get(f"{url}/jsz", timeout=1.0, trust_env=False).json().get("meta_cluster") or {})
    except httpx.HTTPError:
        return {}
