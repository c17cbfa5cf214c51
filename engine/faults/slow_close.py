from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine import units
from engine.faults import listed
from engine.faults._link import _LinkFault
from engine.parameters import param


@dataclass(frozen=True)
class SlowClose(_LinkFault):
    """Delays the end of connections: what is sent arrives in time, but that a side has closed is seen late."""

    delay: float = param(1.0, unit="duration", help="how much later the end arrives", most=3600.0)

    def line(self, nodes: Sequence[str]) -> str:
        return f"close connections to {listed(nodes)} {units.show(self.delay, 'duration')} late"

    def how(self) -> dict[str, Any]:
        return {"slow_close": self.delay}
