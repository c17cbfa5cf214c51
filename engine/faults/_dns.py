"""What the faults of names have in common: a name server of ours, laid between a program and the real ones.

`captured["way"]` is where ours is laid over its resolv.conf: on this `host`, `inside` the container of
the process, or in surroundings of its own, in which the process is started again (`restart`).
"""

import importlib.util
import os
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from engine import actor, processes
from engine.capabilities import Captured, Family, Host, Needs, ReadBack, Wrap
from engine.errors import EngineError, Refused
from engine.faults import Fault, listed
from engine.host import mounts, name_server, resolver, wrapping
from engine.host.name_server import Harm
from engine.parameters import param
from engine.target import Node


@dataclass(frozen=True)
class _DnsFault(Fault):
    names: list[str] = param(["*"], help="which names, with * for anything: db.internal, *.example.com")
    scope: str = param(
        "process", choices=("process", "host"),
        help="whether the process alone is hit, which is started again for it unless it is in a container, "
        "or all programs of its host",
    )  # fmt: skip
    grace: float = param(
        5.0,
        unit="duration",
        help="how long it may take to stop before it is killed; 2s at most when it is healed",
    )
    back_within: float = param(
        15.0, unit="duration", help="how long it may take to serve again after a start"
    )

    needs: ClassVar[Needs] = (Family, Host)

    def __post_init__(self) -> None:
        if not self.names:
            raise ValueError("names no names; write * for all")

    @abstractmethod
    def harm(self) -> Harm:
        """What becomes of the questions."""

    def whom(self, nodes: list[str]) -> str:
        """`n1`, or `the host of n1`, with the names where they are not all."""
        host = "the host of " if self.scope == "host" else ""
        return f"{host}{listed(nodes)}" + ("" if self.names == ["*"] else f" for {listed(self.names)}")

    def capture(self, driver: Any, node: Node) -> Captured:
        if why := mounts.may():
            raise Refused(why, "Run chaosboard, or its worker on that host, as root.")
        if not importlib.util.find_spec("dns"):
            raise Refused(
                "The Python package dnspython is missing here.", "Install it where chaosboard acts."
            )
        captured = dict(driver.capture(node))
        main = driver.family(captured)[0]
        pid = os.getpid() if self.scope == "host" else main["pid"]
        path = resolver.target(pid)
        found = {
            **captured, "path": path, "main": main, "way": self._way(driver, node, pid, path),
            "missing": (text := resolver.read(pid, path)) is None, "text": text,
            "upstreams": resolver.servers(text), "address": name_server.free_address(pid),
        }  # fmt: skip
        return (
            found
            if found["way"] != "restart"
            else {**found, "ports": wrapping.ports(node, driver.family(captured))}
        )

    def _way(self, driver: Any, node: Node, pid: int, path: str) -> str:
        if self.scope == "host":
            if needed := resolver.own_names(os.environ):
                raise Refused(
                    f"chaosboard looks up names on this host itself: {listed(needed)}; it never cuts the branch "
                    "it sits on.",
                    "Choose the scope process, or give it addresses in place of names.",
                )
            resolver.refuse_covered(path)
            return "host"
        if wrapping.namespace(pid, "mnt") != wrapping.namespace(os.getpid(), "mnt"):
            return "inside"
        if not driver.offers(Wrap):
            raise Refused(f"{node.name} cannot be started again with a resolv.conf of its own.",
                          "Choose the scope host.")  # fmt: skip
        wrapping.refuse_elsewhere(pid)
        wrapping.refuse_missing(resolver.PROGRAMS, "give a process a resolv.conf of its own")
        return "restart"

    def inject(self, driver: Any, node: Node, captured: Captured, mark: str, until: float) -> None:
        path, way = captured["path"], captured["way"]
        pid = os.getpid() if way == "host" else captured["main"]["pid"]
        ours = resolver.lay(mark, resolver.ours(captured["text"], captured["address"], mark))
        if captured["missing"]:
            resolver.make(pid, path)
        actor.start(mark)
        if way == "restart":
            wrapping.restart(
                driver, node, captured, lambda pid: _apart(pid, mark), environ={},
                before=resolver.before(mark, path), grace=self.grace, within=self.back_within,
            )  # fmt: skip
            return
        mounts.bind(pid, ours, path)
        if not mounts.carries(pid, mark):
            raise EngineError(f"{path} of {node.name} could not be covered.")

    def act(self, driver: Any, node: Node, captured: Captured, alive: Callable[[], bool]) -> None:
        if captured["way"] == "inside":
            if processes.status(captured["main"]) == "gone":
                raise EngineError(f"{node.name} ended before its names could be harmed.")
            name_server.enter_network(captured["main"]["pid"])
        name_server.serve(captured["address"], captured["upstreams"], self.harm(), alive, actor.acting)

    def heal(self, driver: Any, node: Node, captured: Captured, mark: str) -> None:
        if captured["way"] == "restart":
            wrapping.end(driver, node, captured, lambda pid: _apart(pid, mark), self.grace)
        for pid in mounts.holders(mark):
            mounts.unbind(pid, mark)
        actor.end(mark)
        if captured["missing"]:
            resolver.unmake(
                os.getpid() if captured["way"] != "inside" else captured["main"]["pid"], captured["path"]
            )
        resolver.file(mark).unlink(missing_ok=True)

    def read_back(self, driver: Any, node: Node, captured: Captured, mark: str) -> ReadBack:
        if pids := mounts.holders(mark):
            return ReadBack(False, f"pid {pids[0]} still sees our file in the place of {captured['path']}")
        if left := actor.left(mark):
            return ReadBack(False, f"the name server of the fault is still there: {listed(left)}")
        if resolver.file(mark).exists():
            return ReadBack(False, f"the file {resolver.file(mark)} is still there")
        asked = f"names are asked of {listed(captured['upstreams'])} again"
        if captured["way"] != "restart":
            return ReadBack(True, asked)
        found: ReadBack = driver.running(node, captured)
        return ReadBack(found.gone, f"{found.text}; {asked}") if found.gone else found


def _apart(pid: int, mark: str) -> bool:
    """Whether `pid` was started again in a mount namespace of the fault."""
    own = wrapping.namespace(os.getpid(), "mnt")
    return wrapping.namespace(pid, "mnt") not in ("", own) and mounts.carries(pid, mark)
