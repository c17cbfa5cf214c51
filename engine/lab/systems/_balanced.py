"""What a service behind a balancer has, whatever it speaks: HAProxy or nginx before nodes that are alike."""

import sys
from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from engine.lab.places import Place
from engine.lab.programs import HAPROXY, NGINX, Program
from engine.lab.server import Server
from engine.lab.site import Site
from engine.lab.systems import System
from engine.parameters import param

if TYPE_CHECKING:
    from engine.lab.cluster import Cluster

BACKENDS = "backends"
ROOT = Path(__file__).resolve().parents[3]
HAPROXY_CONF = """\
global
  maxconn 4096
defaults
  mode http
  option redispatch
  retries 2
  timeout connect 1s
  timeout client 60s
  timeout server 60s
frontend lab
  bind {host}:{port}{proto}
  default_backend nodes
backend nodes
  balance {algorithm}
{check}
{servers}
"""
NGINX_CONF = """\
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  upstream nodes {{
    {algorithm}
{servers}
    keepalive 64;
  }}
  server {{
    listen {host}:{port}{proto};
    location / {{
      {forward}
    }}
  }}
}}
"""
ON_HAPROXY = {"roundrobin": "roundrobin", "random": "random", "leastconn": "leastconn", "hash": "uri"}
ON_NGINX = {"roundrobin": "", "random": "random;", "leastconn": "least_conn;", "hash": "hash $request_uri;"}


@dataclass(frozen=True)
class Balanced(System):
    """`service` is the module that a node runs; the other words are what a balancer is told of its protocol."""

    needs: ClassVar[tuple[Program, ...]] = (HAPROXY, NGINX)
    linked: ClassVar[str] = "the balancer and each node, and clients and the balancer"
    service: ClassVar[str]
    proto: ClassVar[dict[str, str]]  # after the address, by balancer
    server: ClassVar[str]  # after the address of a node, in HAProxy's words
    check: ClassVar[str]  # how HAProxy looks at a node
    forward: ClassVar[str]  # how nginx reaches the nodes

    balancer: str = param("haproxy", choices=("haproxy", "nginx"), help="what stands before the nodes")
    algorithm: str = param("roundrobin", choices=tuple(ON_NGINX), help="how it chooses a node")

    @property
    def seats(self) -> int:
        return self.nodes + 1

    @classmethod
    def missing(cls) -> list[Program]:
        """One balancer is enough."""
        found = super().missing()
        return found if len(found) == len(cls.needs) else []

    def lay_out(self, site: Site) -> list[Server]:
        numbers = [port for (port,) in site.ports(8080)]
        backends = [
            self._node(site, name, place, port)
            for name, place, port in zip(self.names, site.places[1:], numbers[1:], strict=True)
        ]
        return [self._balancer(site, site.places[0], numbers[0], backends), *backends]

    def _node(self, site: Site, name: str, place: Place, port: int) -> Server:
        """The balancer is its only client, and comes by its link."""
        argv = (sys.executable, "-m", self.service, place.host, str(port), name)
        environ, own = {"PYTHONPATH": str(ROOT)}, site.door(f"{place.host}:{port}")
        return Server(name, own.listen, site.directory, place, argv, environ, BACKENDS, behind=own.upstream)

    def _balancer(self, site: Site, place: Place, port: int, backends: list[Server]) -> Server:
        name = self.balancer
        folder, file = site.fresh(f"{name}.data"), site.directory / f"{name}.conf"
        if name == "haproxy":
            lines = [f"  server {one.name} {one.address} {self.server}" for one in backends]
            argv = [HAPROXY.get(), "-db", "-f", str(file)]
            text, algorithm = HAPROXY_CONF, ON_HAPROXY[self.algorithm]
        else:
            lines = [f"    server {one.address} max_fails=1 fail_timeout=1s;" for one in backends]
            argv = [NGINX.get(), "-p", str(folder), "-c", str(file)]
            text, algorithm = NGINX_CONF, ON_NGINX[self.algorithm]
        file.write_text(
            text.format(
                host=place.host, port=port, proto=self.proto[name], algorithm=algorithm, folder=folder,
                check=self.check, forward=self.forward, servers="\n".join(lines),
            )
        )  # fmt: skip
        own = site.door(f"{place.host}:{port}")
        return Server(name, own.listen, site.directory, place, tuple(argv), behind=own.upstream)

    def ready(self, cluster: "Cluster") -> bool:
        return all(map(self.well, cluster.servers))

    @staticmethod
    @abstractmethod
    def well(server: Server) -> bool:
        """Whether it answers: a node, or the balancer for one."""
