"""What the faults on single requests have in common: which requests they hit."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine import units
from engine.faults import listed
from engine.faults._link import _LinkFault
from engine.parameters import param


@dataclass(frozen=True)
class _RequestFault(_LinkFault):
    share: float = param(1.0, unit="share", help="of the requests that it is for, how many it hits", most=1.0)
    path: str = param("", help="only requests whose path begins so, as in /orders or /shop.Orders/Place")

    def which(self) -> dict[str, Any]:
        return {"share": self.share, "path": self.path}

    def told(self, nodes: Sequence[str], what: str = "requests") -> str:
        """Which of the requests, in words."""
        some = f"{units.show(self.share, 'share')} of the" if self.share < 1 else "all"
        return f"{some} {what}{f' of {self.path}' if self.path else ''} to {listed(nodes)}"
