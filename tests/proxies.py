"""A link proxy of its own for a test, and servers behind it."""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from chaosboard import ports
from engine import proxy as orders
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[1]


@dataclass
class Proxy:
    folder: Path
    pid: int
    api: str = ""  # host:port of its HTTP API
    links: dict[int, str] = field(default_factory=dict)  # by the port of the server behind

    def link(self, upstream: int) -> str:
        """Where clients connect to reach the server on `upstream`."""
        if upstream not in self.links:
            listen = f"127.0.0.1:{ports.choose(1)[0]}"
            self.order("open", listen, upstream=f"127.0.0.1:{upstream}")
            self.links[upstream] = listen
        return self.links[upstream]

    def connect(self, upstream: int) -> socket.socket:
        host, _, port = self.link(upstream).rpartition(":")
        return socket.create_connection((host, int(port)), timeout=10)

    def order(self, what: str, listen: str, **more: Any) -> dict[str, Any]:
        return orders.call(self.folder, {"do": what, "listen": listen, **more})

    def disturb(self, upstream: int, mark: str = "mark", seconds: float = 60, **how: Any) -> None:
        self.order("disturb", self.link(upstream), mark=mark, how=how, until=time.time() + seconds)

    def clear(self, upstream: int, mark: str = "mark") -> None:
        self.order("clear", self.link(upstream), mark=mark)

    def open(self) -> int:
        """Ends of connections that it has open."""
        sockets = psutil.Process(self.pid).net_connections("tcp")
        return sum(one.status != psutil.CONN_LISTEN for one in sockets)


@contextmanager
def running(folder: Path) -> Iterator[Proxy]:
    api = f"127.0.0.1:{ports.choose(1)[0]}"
    command = [sys.executable, "-m", "engine", "proxy", "--api", api, "--state", str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        try:
            orders.wait(folder)
            yield Proxy(folder, process.pid, api)
        finally:
            process.terminate()


@contextmanager
def serve(talk: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server on a free port: `talk` with each client in a thread, and then its connection is closed."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    threads: list[threading.Thread] = []

    def serve_one(one: socket.socket) -> None:
        with one, suppress(OSError):
            talk(one)

    def accept() -> None:
        with suppress(OSError):
            while True:
                one, _ = listener.accept()
                threads.append(threading.Thread(target=serve_one, args=(one,), daemon=True))
                threads[-1].start()

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        accepting.join(5)
        until(lambda: not any(thread.is_alive() for thread in threads), timeout=10)
