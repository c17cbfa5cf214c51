from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine import units
from engine.faults import listed
from engine.faults._link import _LinkFault
from engine.parameters import param


@dataclass(frozen=True)
class LimitData(_LinkFault):
    """Closes each connection to the node when so much has passed on it, counted for each direction."""

    size: float = param(1024.0 * 1024.0, unit="size", help="what may pass before it is closed")

    def line(self, nodes: Sequence[str]) -> str:
        return f"close connections to {listed(nodes)} after {units.show(self.size, 'size')}"

    def how(self) -> dict[str, Any]:
        return {"limit": self.size}
