from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine import units
from engine.faults import listed
from engine.faults._link import _PacketFault
from engine.parameters import param


@dataclass(frozen=True)
class Loss(_PacketFault):
    """Loses a share of the connections to the node: they are reset, open ones at once and new ones as they come.

    Where no link proxy is between, it loses a share of the packets.
    """

    share: float = param(
        0.1, unit="share", help="of the connections, or of the packets, how many are lost", most=1.0
    )

    def line(self, nodes: Sequence[str]) -> str:
        if self.between != "clients":
            return f"lose {units.show(self.share, 'share')} of what passes {self.whose(listed(nodes))}"
        return f"lose {units.show(self.share, 'share')} of the connections to {listed(nodes)}"

    def how(self) -> dict[str, Any]:
        return {"loss": self.share}

    def packets(self) -> dict[str, Any]:
        return {"loss": self.share}
