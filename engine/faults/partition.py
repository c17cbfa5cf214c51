from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.faults import listed
from engine.faults._link import _LinkFault


@dataclass(frozen=True)
class Partition(_LinkFault):
    """Cuts the link between clients and the node: nothing passes, and no connection is closed."""

    def line(self, nodes: Sequence[str]) -> str:
        return f"cut {listed(nodes)} off from clients"

    def how(self) -> dict[str, Any]:
        return {"cut": True}
