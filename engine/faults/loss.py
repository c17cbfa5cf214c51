from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine import units
from engine.faults import listed
from engine.faults._link import _LinkFault
from engine.parameters import param


@dataclass(frozen=True)
class Loss(_LinkFault):
    """Loses a share of the connections to the node: they are reset, open ones at once and new ones as they come."""

    share: float = param(0.1, unit="share", help="of the connections, how many are lost", most=1.0)

    def line(self, nodes: Sequence[str]) -> str:
        return f"lose {units.show(self.share, 'share')} of the connections to {listed(nodes)}"

    def how(self) -> dict[str, Any]:
        return {"loss": self.share}
