from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine import units
from engine.faults import listed
from engine.faults._link import _ShapingFault
from engine.parameters import param


@dataclass(frozen=True)
class Reorder(_ShapingFault):
    """Holds a share of the packets back (on the link of a node: of datagrams), so that later ones overtake them."""

    share: float = param(0.1, unit="share", help="of the packets, how many are held back", most=1.0)
    delay: float = param(0.01, unit="duration", help="for how long, on the link of a node", most=60.0)

    def line(self, nodes: Sequence[str]) -> str:
        share, delay = units.show(self.share, "share"), units.show(self.delay, "duration")
        return f"reorder the packets {self.whose(listed(nodes))}: {share} come {delay} later"

    def how(self) -> dict[str, Any]:
        return {"reorder": self.share, "behind": self.delay}

    def packets(self) -> dict[str, Any]:
        return {"reorder": self.share}
