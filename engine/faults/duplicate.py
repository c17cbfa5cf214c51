from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine import units
from engine.faults import listed
from engine.faults._link import _LinkFault
from engine.parameters import param


@dataclass(frozen=True)
class Duplicate(_LinkFault):
    """Lets some of what passes between clients and the node arrive twice. For links of datagrams (UDP)."""

    share: float = param(0.1, unit="share", help="of the datagrams, how many come twice", most=1.0)

    def line(self, nodes: Sequence[str]) -> str:
        return f"duplicate {units.show(self.share, 'share')} of the datagrams to and from {listed(nodes)}"

    def how(self) -> dict[str, Any]:
        return {"duplicate": self.share}
