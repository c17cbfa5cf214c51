"""A system of the lab that is up: laid out in a directory, started, stopped, and made whole again."""

import json
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from engine import owned
from engine.errors import EngineError
from engine.lab import CannotRun
from engine.lab.links import Links
from engine.lab.places import Place, loopback
from engine.lab.server import LAB, Server
from engine.lab.site import Site
from engine.lab.systems import REGISTRY, System
from engine.probes import REGISTRY as PROBES

POLL = 0.05  # seconds between two looks at what is starting
GRACE = 0.5  # seconds that a server may take to stop: it starts afresh, so nothing is lost by killing it


class Cluster:
    """One system, its servers marked with the state directory `state`; on loopback where no places are given.

    With `linked` it is behind the link proxy of `state`, or of the state directory `proxy`.
    """

    def __init__(
        self,
        system: System,
        directory: Path,
        state: Path | None = None,
        *,
        name: str = "",
        environment: str = "lab",
        places: Sequence[Place] = (),
        preferred: tuple[int, ...] = (),
        linked: bool = False,
        proxy: Path | None = None,
    ) -> None:
        self.system, self.directory = system, directory.resolve()
        self.state = (state or directory).resolve()
        self.proxy = (proxy or self.state).resolve()
        self.name = name or REGISTRY.name_of(type(system))
        self.environment = environment
        links = Links() if linked else None
        self.site = Site(self.directory, tuple(places) or loopback(system.seats), preferred, links)
        self.servers: list[Server] = []

    @property
    def nodes(self) -> list[Server]:
        """The servers that clients use."""
        return self.group("")

    def group(self, name: str) -> list[Server]:
        return [server for server in self.servers if server.group == name]

    def node(self, name: str) -> Server:
        return next(server for server in self.servers if server.name == name)

    def start(self, timeout: float = 60.0) -> None:
        """Starts afresh and waits until it serves; raises CannotRun."""
        try:
            self.lay_out()
            self.form(timeout)
        except CannotRun as error:
            raise CannotRun(f"{self.name}: {error}") from None

    def lay_out(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        for file in (
            *self.directory.glob("*.pid"),
            *self.directory.glob("*.log"),
            *self.directory.glob("*.out"),
        ):
            file.unlink()
        self.servers = self.system.lay_out(self.site)

    def form(self, timeout: float = 60.0) -> None:
        self.deadline = time.monotonic() + timeout
        if self.site.links:
            self.site.links.open(self.proxy)
        self.system.form(self)

    def launch(self, servers: Iterable[Server]) -> None:
        for server in servers:
            server.start(self.state)

    def ready(self) -> bool:
        return self.system.ready(self)

    def wait(self, condition: Callable[[], bool] | None = None) -> None:
        """Until the condition holds, or all serve; raises CannotRun where a server ends or time is over."""
        condition = condition or self.ready
        while not condition():
            if dead := [s for s in self.servers if s.pid_file.exists() and not s.running]:
                raise CannotRun(f"{dead[0].name} ended at once: {dead[0].last_line()}")
            if time.monotonic() > self.deadline:
                raise CannotRun(f"not ready in time; see {self.directory}")
            time.sleep(POLL)

    def restore(self, timeout: float = 60.0) -> None:
        """Starts what was killed, continues what was paused, and waits until all serve again."""
        self.deadline = time.monotonic() + timeout
        for server in self.servers:
            if not server.running:
                server.start(self.state)
            with suppress(psutil.Error):
                psutil.Process(server.pid).resume()
        self.wait()

    def stop(self) -> None:
        """Stops the servers, also those that a heal has started anew under another pid."""
        owned.stop(self.processes(), grace=GRACE)
        if self.site.links:
            with suppress(EngineError):  # no proxy, no links
                self.site.links.close(self.proxy)

    def processes(self) -> list[psutil.Process]:
        pids = {server.pid for server in self.servers if server.running}
        return [p for p in psutil.process_iter() if p.pid in pids or _belongs(p, self.directory)]

    def documents(self) -> list[dict[str, Any]]:
        """Its services as they are registered: what clients use first."""
        return [self.document(group) for group in dict.fromkeys(server.group for server in self.servers)]

    def document(self, group: str = "") -> dict[str, Any]:
        """One of its services; looked at by `tcp` where there is no probe of its kind."""
        kind = self.system.kinds.get(group, "tcp")
        return {
            "name": f"{self.name} {group}".strip(),
            "kind": kind if kind in PROBES else "tcp",
            "environment": self.environment,
            "nodes": [self._node(server) for server in self.group(group)],
        }

    def _node(self, server: Server) -> dict[str, Any]:
        driver: dict[str, Any] = {"pid_file": str(server.own_pid_file or server.pid_file)}
        doors = [door.text() for door in server.doors if door.listen != door.upstream]
        if doors:
            driver |= {"doors": doors, "companions": [str(file) for file in server.companions]}
        more = {"upstream": server.behind} if server.behind not in ("", server.address) else {}
        named = {"linked" if doors else "process": driver}
        return {"name": server.name, "address": server.address, **more, "driver": named}

    def write_documents(self) -> Path:
        file = self.directory / "targets.json"
        file.write_text(json.dumps(self.documents(), indent=1))
        return file


def servers_in(directory: Path) -> list[psutil.Process]:
    """The processes of the lab that was laid out in `directory`, whoever started them."""
    return [process for process in psutil.process_iter() if _belongs(process, directory)]


def _belongs(process: psutil.Process, directory: Path) -> bool:
    """By the mark in its environment; a server that writes its title over it still names its directory."""
    with suppress(psutil.Error):
        if process.environ().get(LAB) == str(directory):
            return True
    with suppress(psutil.Error):
        return f"{directory}/" in " ".join(process.cmdline())
    return False
