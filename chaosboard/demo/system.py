"""A demo system: a few server processes that together are one service."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from chaosboard import processes


class CannotRun(Exception):
    """This machine cannot run the system; the text says why, in one line."""


class Node(NamedTuple):
    name: str
    address: str
    pid_file: Path
    log_file: Path

    @property
    def pid(self) -> int | None:
        with suppress(OSError, ValueError):
            return int(self.pid_file.read_text())
        return None

    @property
    def running(self) -> bool:
        return self.pid is not None and _is_alive(self.pid)


@dataclass(frozen=True)
class Server:
    """A node and the command that starts it."""

    node: Node
    argv: tuple[str, ...]
    cwd: Path

    def start(self, state: Path) -> None:
        process = processes.launch(
            self.argv, state=state, log=self.node.log_file.with_suffix(".out"), cwd=self.cwd
        )
        self.node.pid_file.write_text(f"{process.pid}\n")


class System(ABC):
    """Lays out its servers in `directory`, starts them marked with `state`, and waits until they serve."""

    name: str
    kind: str
    default_ports: tuple[int, ...]

    def __init__(self, directory: Path, state: Path) -> None:
        self.directory, self.state = directory.resolve(), state.resolve()
        self.servers: list[Server] = []

    @property
    def nodes(self) -> list[Node]:
        return [server.node for server in self.servers]

    def start(self, preferred: tuple[int, ...] = (), timeout: float = 30.0) -> None:
        """Starts afresh, on the preferred ports if all of them are free."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.lay_out(preferred)
        self.launch_and_wait(timeout)

    @abstractmethod
    def lay_out(self, preferred: tuple[int, ...]) -> None:
        """Makes the servers and their configuration in `directory`."""

    def launch_and_wait(self, timeout: float) -> None:
        for server in self.servers:
            server.start(self.state)
        self.wait(self.ready, timeout)

    @abstractmethod
    def ready(self) -> bool:
        """Whether the system serves."""

    def restore(self, timeout: float = 30.0) -> None:
        """Starts what was killed, continues what was paused, and waits until all serve again."""
        for server in self.servers:
            if not server.node.running:
                server.start(self.state)
            with suppress(psutil.Error):
                psutil.Process(server.node.pid).resume()
        self.wait(self.ready, timeout)

    def wait(self, condition: Callable[[], bool], timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while not condition():
            if dead := [node for node in self.nodes if node.pid_file.exists() and not node.running]:
                raise CannotRun(f"{self.name}: {dead[0].name} ended at once: {last_line(dead[0].log_file)}")
            if time.monotonic() > deadline:
                raise CannotRun(f"{self.name}: not ready after {timeout:.0f} s; see {self.directory}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Stops the nodes, also those that a heal has started anew under another pid."""
        mine = [p for p in processes.marked(self.state) if str(self.directory) in _command(p)]
        processes.stop(mine)

    def document(self) -> dict[str, Any]:
        """The service as it is registered."""
        return {
            "name": self.name,
            "kind": self.kind,
            "environment": "demo",
            "nodes": [
                {
                    "name": node.name,
                    "address": node.address,
                    "driver": {"process": {"pid_file": str(node.pid_file)}},
                }
                for node in self.nodes
            ],
        }

    def documents(self) -> list[dict[str, Any]]:
        return [self.document()]


def last_line(log_file: Path) -> str:
    """What a server said last; what it wrote before its log was set up is beside it."""
    for path in (log_file.with_suffix(".out"), log_file):
        with suppress(OSError):
            lines = path.read_text(errors="replace").strip().splitlines()
            if lines:
                return lines[-1][:300]
    return "it left no message"


def _is_alive(pid: int) -> bool:
    with suppress(psutil.Error):
        return processes.alive(psutil.Process(pid))
    return False


def _command(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""
