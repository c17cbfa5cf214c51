"""What is wrong with a simulated node of the `memory` driver: read by its probe and its client."""

from typing import Any

from engine import state
from engine.target import Node


def wrong(node: Node) -> dict[str, Any]:
    """{"down": bool, "paused": bool}, as far as they are true."""
    cluster = node.control_params.get("cluster", "memory")
    found: dict[str, Any] | None = state.read(state.root() / "memory" / f"{cluster}.{node.name}.json")
    return found or {}
