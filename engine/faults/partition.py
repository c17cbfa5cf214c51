from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.capabilities import Captured
from engine.errors import Refused
from engine.faults import listed
from engine.faults._link import _LinkFault
from engine.parameters import param
from engine.target import Node
from engine.topology import KINDS, Topology

_LINES = {
    "both": "cut {} off from clients",
    "to-node": "cut {} off from what clients send",
    "from-node": "cut clients off from what {} answers",
}


@dataclass(frozen=True)
class Partition(_LinkFault):
    """Cuts the link between clients and the node: nothing passes, nothing is lost, and no connection is closed."""

    direction: str = param("both", help="which way nothing passes", choices=tuple(_LINES))
    topology: str = param(
        "",
        help=f"which links are cut, instead of those between clients and the nodes: {', '.join(list(KINDS)[:-1])}; "
        "some take nodes or tags after them, as in one-way n1 n2 or zone-from-zone zone-a zone-b",
    )
    links: list[str] = param(
        [], help="or the links themselves, as in [n1 -> n2, n2 <-> n3, clients -> n1]; -> is one way"
    )

    def __post_init__(self) -> None:
        if self.topology or self.links:
            Topology.read(self.topology, self.links)

    def line(self, nodes: Sequence[str]) -> str:
        if self.topology or self.links:
            return Topology.read(self.topology, self.links).line()
        return _LINES[self.direction].format(listed(nodes))

    def capture(self, driver: Any, node: Node) -> Captured:
        if self.topology or self.links:
            raise Refused("No driver of this board cuts links between nodes.", "Leave the topology out.")
        return super().capture(driver, node)

    def how(self) -> dict[str, Any]:
        return {"cut": True} if self.direction == "both" else {"cut": True, "direction": self.direction}
