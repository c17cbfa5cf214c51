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

from chaosboard import ports
from engine.lab.programs import VALKEY
from engine.target import Node

ROOT = Path(__file__).resolve().parents[1]
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
    port = ports.choose(1)[0]
    command = [
        VALKEY.get(),
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
def nginx() -> Iterator[Server]:
    port = ports.choose(1)[0]
    found = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if found is None:
        raise SystemExit("nginx is missing, and this bench needs it: install the package nginx-light")
    with tempfile.TemporaryDirectory() as directory:
        config = Path(directory, "nginx.conf")
        config.write_text(NGINX.format(directory=directory, port=port))
        with _serving("nginx", [found, "-p", directory, "-c", str(config)], port) as server:
            yield server


@contextmanager
def _serving(name: str, command: list[str], port: int) -> Iterator[Server]:
    with tempfile.TemporaryDirectory() as directory:
        argv = [word.replace("{}", directory) for word in command]
        process = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            waits_for(port, process)
            yield Server(name, process.pid, Node("one", f"127.0.0.1:{port}"))
        finally:
            process.kill()
            process.wait()


def waits_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(200):
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise SystemExit(f"the server of port {port} did not come up")
