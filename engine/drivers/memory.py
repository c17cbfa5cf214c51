"""Simulated nodes: test double, demo and leash in one. Their state is a file, so any process heals them."""

import json
from dataclasses import dataclass
from typing import Any

from engine import state
from engine.capabilities import Captured, ReadBack
from engine.drivers import Driver
from engine.parameters import param
from engine.target import Node


@dataclass(frozen=True)
class Memory(Driver):
    """A node that exists only here: it can be hurt in every way and harms nobody."""

    cluster: str = param("memory", help="nodes of one simulated cluster share this name")

    def _file(self, name: str) -> Any:
        return state.root() / "memory" / f"{self.cluster}.{name}.json"

    def victim(self, node: Node) -> str:
        return f"the simulated node {node.name}"

    def look(self, name: str) -> dict[str, Any]:
        """What is wrong with the node `name`: {"down": bool, "paused": bool}."""
        return state.read(self._file(name)) or {}

    def _set(self, name: str, **what: bool) -> None:
        state.write_quickly(self._file(name), json.dumps({**self.look(name), **what}))

    def capture(self, node: Node) -> Captured:
        return {"node": node.name}

    def signal(self, captured: Captured, signal: str) -> None:
        self._set(captured["node"], down=True)

    def stop(self, captured: Captured, grace: float) -> None:
        self._set(captured["node"], down=True)

    def start(self, node: Node, captured: Captured) -> None:
        self._set(captured["node"], down=False)

    def running(self, node: Node, captured: Captured) -> ReadBack:
        down = bool(self.look(captured["node"]).get("down"))
        return ReadBack(not down, f"{node.name} is {'down' if down else 'up'}")

    def pause(self, captured: Captured) -> None:
        self._set(captured["node"], paused=True)

    def unpause(self, captured: Captured) -> None:
        self._set(captured["node"], paused=False)

    def unpaused(self, captured: Captured) -> ReadBack:
        paused = bool(self.look(captured["node"]).get("paused"))
        return ReadBack(not paused, f"{captured['node']} {'is paused' if paused else 'runs on'}")
