import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import httpx

from engine import ports
from engine.lab.links import Door
from engine.lab.places import Place
from engine.lab.programs import RABBITMQ, Program
from engine.lab.server import Server
from engine.lab.site import Site
from engine.lab.systems import System
from engine.target import split_address

if TYPE_CHECKING:
    from engine.lab.cluster import Cluster

MANAGEMENT = 10000  # 15672 for 5672: where its HTTP API listens, from where clients come
QUEUE = "chaosboard"
EPMD = "epmd"
ROOT = Path(__file__).resolve().parents[3]
LIGHT = "+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none"
# As long as a node takes one for connected that it cannot reach, its management API waits for it: by default for a
# minute. Without a way to handle it, nodes that were parted stay so, and are to be started again by hand.
CONF = """\
cluster_formation.peer_discovery_backend = classic_config
cluster_formation.randomized_startup_delay_range.min = 0
cluster_formation.randomized_startup_delay_range.max = 1
net_ticktime = 8
cluster_partition_handling = pause_minority
{members}
loopback_users = none
management.tcp.ip = {host}
management.tcp.port = {management}
collect_statistics_interval = 1000
"""


@dataclass(frozen=True)
class Rabbitmq(System):
    """A RabbitMQ cluster with a quorum queue called chaosboard, which is kept on Raft."""

    kinds: ClassVar[Mapping[str, str]] = {"": "rabbitmq"}
    needs: ClassVar[tuple[Program, ...]] = (RABBITMQ,)
    linked: ClassVar[str] = "nodes, and clients and each node"

    def lay_out(self, site: Site) -> list[Server]:
        binary, numbers = RABBITMQ.get(), site.ports_with(MANAGEMENT, 5672, 25672)
        epmd = ports.choose(1)[0]
        doors = [site.door(f"{p.host}:{row[1]}") for p, row in zip(site.places, numbers, strict=True)]
        called = [f"{name}@{host}" for name, host in zip(self.names, site.hosts, strict=True)]
        members = "\n".join(
            f"cluster_formation.classic_config.nodes.{i + 1} = {one}" for i, one in enumerate(called)
        )
        mapper = [self._mapper(site, epmd, doors)] if site.links else []
        started = {"ERL_AFLAGS": "-start_epmd false"} if mapper else {}
        nodes = []
        for name, place, (port, dist), door in zip(self.names, site.places, numbers, doors, strict=True):
            own = site.door(f"{place.host}:{port}")
            environ = _environ(site, name, place, port, members) | started
            environ |= {"RABBITMQ_DIST_PORT": str(dist), "ERL_EPMD_PORT": str(epmd)}
            nodes.append(
                Server(name, own.listen, site.directory, place, (binary,), environ, behind=own.upstream,
                       doors=(door,))
            )  # fmt: skip
        return [*nodes, *mapper]

    def _mapper(self, site: Site, port: int, doors: list[Door]) -> Server:
        """In place of Erlang's own: it sends who looks for a node to its door."""
        place = site.places[0]
        told = (f"{n}={d.listen.rpartition(':')[2]}" for n, d in zip(self.names, doors, strict=True))
        argv = (sys.executable, "-m", "engine.lab.serving.epmd", place.host, str(port), *told)
        return Server(
            EPMD, f"{place.host}:{port}", site.directory, place, argv, {"PYTHONPATH": str(ROOT)}, EPMD
        )

    def form(self, cluster: "Cluster") -> None:
        cluster.launch(cluster.group(EPMD))
        cluster.wait(lambda: not any(ports.free(mapper.port) for mapper in cluster.group(EPMD)))
        cluster.launch(cluster.nodes)
        cluster.wait(lambda: all(self._running(node) for node in cluster.nodes))
        body = {"durable": True, "arguments": {"x-queue-type": "quorum"}}
        _api(cluster.nodes[0], "PUT", f"queues/%2F/{QUEUE}", body)
        cluster.wait()

    def _running(self, node: Server) -> bool:
        """Does it see all nodes run?"""
        seen = _api(node, "GET", "nodes") or []
        return [one.get("running") for one in seen] == [True] * self.nodes

    def ready(self, cluster: "Cluster") -> bool:
        return all(self._running(node) and self._kept(node) for node in cluster.nodes)

    def _kept(self, node: Server) -> bool:
        """Has the queue a leader, and are all of its members there?"""
        queue = _api(node, "GET", f"queues/%2F/{QUEUE}") or {}
        return bool(queue.get("leader")) and len(queue.get("online") or ()) == self.nodes


def _environ(site: Site, name: str, place: Place, port: int, members: str) -> dict[str, str]:
    folder = site.fresh(f"{name}.data")
    (folder / "rabbitmq.conf").write_text(
        CONF.format(members=members, host=place.host, management=port + MANAGEMENT)
    )
    (folder / "plugins").write_text("[rabbitmq_management].\n")
    (folder / "env.conf").touch()
    cookie = folder / ".erlang.cookie"
    cookie.write_text("lab")
    cookie.chmod(0o600)
    return {
        "HOME": str(folder),
        "RABBITMQ_NODENAME": f"{name}@{place.host}",
        "RABBITMQ_USE_LONGNAME": "true",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_NODE_IP_ADDRESS": place.host,
        "RABBITMQ_MNESIA_BASE": str(folder),
        "RABBITMQ_LOGS": str(site.directory / f"{name}.log"),
        "RABBITMQ_LOG_BASE": str(
            site.directory
        ),  # of other logs, which it keeps where only its own user may write
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "env.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_PID_FILE": str(folder / "rabbitmq.pid"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": LIGHT,
        "RUNNING_UNDER_SYSTEMD": "true",  # its script becomes the server then, under the same pid
    }


def _api(node: Server, method: str, path: str, body: Any = None) -> Any:
    """The answer of a node's HTTP API; None where there is none."""
    host, port = split_address(node.behind)
    url = f"http://{host}:{port + MANAGEMENT}/api/{path}"
    try:
        answer = httpx.request(method, url, json=body, auth=("guest", "guest"), timeout=3.0, trust_env=False)
        return answer.json() if answer.status_code == 200 else None
    except (httpx.HTTPError, ValueError):
        return None
