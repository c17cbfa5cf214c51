from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.faults import listed
from engine.faults._link import _LinkFault
from engine.parameters import param

_LINES = {
    "both": "cut {} off from clients",
    "to-node": "cut {} off from what clients send",
    "from-node": "cut clients off from what {} answers",
}


@dataclass(frozen=True)
class Partition(_LinkFault):
    """Cuts the link between clients and the node: nothing passes, nothing is lost, and no connection is closed."""

    direction: str = param("both", help="which way nothing passes", choices=tuple(_LINES))

    def line(self, nodes: Sequence[str]) -> str:
        return _LINES[self.direction].format(listed(nodes))

    def how(self) -> dict[str, Any]:
        return {"cut": True} if self.direction == "both" else {"cut": True, "direction": self.direction}
