from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine import units
from engine.faults import listed
from engine.faults._link import _ShapingFault
from engine.parameters import param


@dataclass(frozen=True)
class Duplicate(_ShapingFault):
    """Doubles a share of the packets between clients and the node (on its link: of datagrams), or to its peers."""

    share: float = param(0.1, unit="share", help="of the packets, how many come twice", most=1.0)

    def line(self, nodes: Sequence[str]) -> str:
        return f"double {units.show(self.share, 'share')} of the packets {self.whose(listed(nodes))}"

    def how(self) -> dict[str, Any]:
        return {"duplicate": self.share}

    def packets(self) -> dict[str, Any]:
        return {"duplicate": self.share}
