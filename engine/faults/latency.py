from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine import units
from engine.faults import listed
from engine.faults._link import _LinkFault
from engine.parameters import param


@dataclass(frozen=True)
class Latency(_LinkFault):
    """Delays everything on the link between clients and the node, in both directions."""

    delay: float = param(0.1, unit="duration", help="how much later everything arrives, each way", most=60.0)
    jitter: float = param(0.0, unit="duration", help="by how much the delay varies, up and down", most=60.0)

    def line(self, nodes: Sequence[str]) -> str:
        jitter = f" ± {units.show(self.jitter, 'duration')}" if self.jitter else ""
        return f"delay {listed(nodes)} by {units.show(self.delay, 'duration')}{jitter} each way"

    def how(self) -> dict[str, Any]:
        return {"delay": self.delay, "jitter": self.jitter}
