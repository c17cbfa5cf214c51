"""Link proxies between the members of a system, and before its nodes: topologies without root.

One listener for each ordered pair of members, where the system lets each member be told its own address of
every other; where addresses are told from member to member, one listener for each node, which all share.
"""

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from engine import owned, ports, proxy
from engine.state import PART

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Link:
    """Whoever connects to `listen` reaches `upstream`; `tags` say whose traffic it carries."""

    name: str
    listen: str
    upstream: str
    tags: tuple[str, ...] = ()

    def node(self) -> dict[str, Any]:
        """As a document has it."""
        return {"name": self.name, "address": self.listen, "upstream": self.upstream, "tags": list(self.tags)}


@dataclass
class Links:
    """The links of one system as they are laid out."""

    between: list[Link] = field(default_factory=list)
    before: list[Link] = field(default_factory=list)
    _started: bool = False

    def reach(self, one: str, other: str, address: str) -> str:
        """The address at which member `one` reaches `address` of member `other`."""
        first, second = sorted((one, other))
        tags = (f"from-{one}", f"to-{other}", f"between-{first}-{second}")
        self.between.append(Link(f"{one}-{other}", self._listen(), address, tags))
        return self.between[-1].listen

    def door(self, name: str, address: str) -> str:
        """The address at which everybody reaches `address` of the node `name`."""
        self.before.append(Link(name, self._listen(), address))
        return self.before[-1].listen

    def _listen(self) -> str:
        taken = {link.listen for link in (*self.between, *self.before)}
        return next(one for port in ports.choose(len(taken) + 1) if (one := f"{HOST}:{port}") not in taken)

    def open(self, state: Path) -> None:
        """Opens all of them in the link proxy of a state directory; raises EngineError."""
        self._started = proxy.ensure(state)
        for link in (*self.between, *self.before):
            proxy.call(state, {"do": "open", "listen": link.listen, "upstream": link.upstream})

    def close(self, state: Path) -> None:
        """Closes them; a link proxy that was started for them and has no others left ends."""
        for link in (*self.between, *self.before):
            proxy.call(state, {"do": "close", "listen": link.listen})
        if self._started and not proxy.call(state, {"do": "hello"})["links"]:
            owned.stop(p for p in owned.marked(state) if _is_proxy(p))


def _is_proxy(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return process.environ().get(PART) == "links"
    return False
