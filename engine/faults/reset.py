from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine import units
from engine.faults import listed
from engine.faults._link import _LinkFault
from engine.parameters import param


@dataclass(frozen=True)
class Reset(_LinkFault):
    """Resets every connection to the node, those that are open and those that are made meanwhile."""

    after: float = param(
        0.0, unit="duration", help="how long a connection lasts before it is reset", most=3600.0
    )

    def line(self, nodes: Sequence[str]) -> str:
        after = f" after {units.show(self.after, 'duration')}" if self.after else ""
        return f"reset every connection to {listed(nodes)}{after}"

    def how(self) -> dict[str, Any]:
        return {"reset": self.after}
