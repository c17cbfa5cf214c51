from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine import units
from engine.faults import listed
from engine.faults._link import _PacketFault
from engine.parameters import param


@dataclass(frozen=True)
class Bandwidth(_PacketFault):
    """Narrows the link between clients and the node: each connection gets so much a second, each way."""

    rate: float = param(100_000.0, unit="size", help="how many bytes a second pass", least=1.0)

    def line(self, nodes: Sequence[str]) -> str:
        if self.between != "clients":
            return (
                f"narrow what passes {self.whose(listed(nodes))} to {units.show(self.rate, 'size')} a second"
            )
        return f"narrow the link to {listed(nodes)} to {units.show(self.rate, 'size')} a second"

    def how(self) -> dict[str, Any]:
        return {"rate": self.rate}

    def packets(self) -> dict[str, Any]:
        return {"rate": self.rate}
