from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine import units
from engine.faults import listed
from engine.faults._link import _LinkFault
from engine.parameters import param


@dataclass(frozen=True)
class Reorder(_LinkFault):
    """Holds some of what passes back, so that later ones overtake it. For links of datagrams (UDP)."""

    share: float = param(0.1, unit="share", help="of the datagrams, how many are held back", most=1.0)
    delay: float = param(0.01, unit="duration", help="for how long", most=60.0)

    def line(self, nodes: Sequence[str]) -> str:
        share, delay = units.show(self.share, "share"), units.show(self.delay, "duration")
        return f"reorder the datagrams to and from {listed(nodes)}: {share} come {delay} later"

    def how(self) -> dict[str, Any]:
        return {"reorder": self.share, "behind": self.delay}
