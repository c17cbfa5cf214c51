from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from engine import units
from engine.capabilities import Needs, Shaping
from engine.faults import listed
from engine.faults._link import _PacketsOnly
from engine.parameters import param


@dataclass(frozen=True)
class Reorder(_PacketsOnly):
    """Lets a share of the packets arrive before those that were sent earlier, in both directions."""

    needs: ClassVar[Needs] = Shaping
    share: float = param(0.1, unit="share", help="of the packets, how many overtake others", most=1.0)

    def line(self, nodes: Sequence[str]) -> str:
        return f"reorder {units.show(self.share, 'share')} of the packets {self.whose(listed(nodes))}"

    def packets(self) -> dict[str, Any]:
        return {"reorder": self.share}
