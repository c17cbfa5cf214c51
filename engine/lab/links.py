"""Link proxies before the nodes of a system, for clients and for peers: topologies without root.

Each node has one door for all its peers: whose a connection there is, the link proxy asks the kernel.
"""

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from engine import owned, ports, proxy
from engine.state import PART

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Door:
    """Whoever connects to `listen` reaches `upstream`."""

    listen: str
    upstream: str

    def text(self) -> str:
        """As the driver of a node is told of it."""
        return f"{self.listen} -> {self.upstream}"


@dataclass
class Links:
    """The doors of one system as they are laid out."""

    doors: list[Door] = field(default_factory=list)
    started: bool = False

    def door(self, address: str) -> Door:
        taken = {one for door in self.doors for one in (door.listen, door.upstream)} | {address}
        free = (f"{HOST}:{port}" for port in ports.choose(len(taken) + 1))
        self.doors.append(Door(next(one for one in free if one not in taken), address))
        return self.doors[-1]

    def open(self, state: Path) -> None:
        """Opens all of them in the link proxy of a state directory; raises EngineError."""
        self.started = proxy.ensure(state)
        for door in self.doors:
            proxy.call(state, {"do": "open", "listen": door.listen, "upstream": door.upstream})

    def close(self, state: Path) -> None:
        """Closes them; a link proxy that was started for them and has no others left ends."""
        for door in self.doors:
            proxy.call(state, {"do": "close", "listen": door.listen})
        if self.started and not proxy.call(state, {"do": "hello"})["links"]:
            end_proxy(state)


def end_proxy(state: Path) -> None:
    owned.stop(p for p in owned.marked(state) if is_proxy(p))


def is_proxy(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return process.environ().get(PART) == "links"
    return False
