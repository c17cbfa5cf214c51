from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine import units
from engine.faults import listed
from engine.faults._link import _ShapingFault
from engine.parameters import param


@dataclass(frozen=True)
class Corrupt(_ShapingFault):
    """Corrupts what passes between clients and the node: a bit is flipped here and there, in both directions."""

    share: float = param(0.01, unit="share", help="of the pieces that pass, how many are changed", most=1.0)

    def line(self, nodes: Sequence[str]) -> str:
        if self.between != "clients":
            return f"corrupt {units.show(self.share, 'share')} of the packets {self.whose(listed(nodes))}"
        return f"corrupt {units.show(self.share, 'share')} of what passes to and from {listed(nodes)}"

    def how(self) -> dict[str, Any]:
        return {"corrupt": self.share}

    def packets(self) -> dict[str, Any]:
        return {"corrupt": self.share}
