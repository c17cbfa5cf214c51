from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine import units
from engine.faults import listed
from engine.faults._link import _LinkFault
from engine.parameters import param


@dataclass(frozen=True)
class Slicer(_LinkFault):
    """Slices what passes between clients and the node into small pieces, in both directions."""

    size: float = param(64.0, unit="size", help="of a piece, on average", least=1.0)
    variation: float = param(0.0, unit="size", help="by how much the size varies, up and down")
    gap: float = param(0.0, unit="duration", help="the time between two pieces", most=60.0)

    def line(self, nodes: Sequence[str]) -> str:
        apart = f", {units.show(self.gap, 'duration')} apart" if self.gap else ""
        size = units.show(self.size, "size")
        return f"slice what passes to and from {listed(nodes)} into pieces of {size}{apart}"

    def how(self) -> dict[str, Any]:
        return {"slice": self.size, "variation": self.variation, "gap": self.gap}
