from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine import units
from engine.faults._requests import _RequestFault
from engine.parameters import param


@dataclass(frozen=True)
class HttpDelay(_RequestFault):
    """Delays HTTP requests and gRPC calls on their way to the node, and no others.

    Of HTTP/2 (in clear, prior knowledge) it delays single streams. What is encrypted passes untouched.
    """

    delay: float = param(0.1, unit="duration", help="how much later the node gets them", most=600.0)
    method: str = param("", help="only requests of this method, as in POST")

    def line(self, nodes: Sequence[str]) -> str:
        which = self.told(nodes, f"{self.method} requests".strip())
        return f"delay {which} by {units.show(self.delay, 'duration')}"

    def how(self) -> dict[str, Any]:
        return {"http_delay": {"delay": self.delay * 1e3, "method": self.method, **self.which()}}
