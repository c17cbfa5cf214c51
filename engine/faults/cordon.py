from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from engine.capabilities import Captured, ReadBack
from engine.capabilities import Cordon as CanCordon
from engine.faults import Fault, listed
from engine.parameters import param
from engine.target import Node


@dataclass(frozen=True)
class Cordon(Fault):
    """Closes the machine on which the pod runs to new pods, as for maintenance; on wish it is drained too."""

    drain: bool = param(
        False, help="also evict every pod that runs there, also those of other services; they start elsewhere"
    )

    needs: ClassVar[type] = CanCordon

    def line(self, nodes: Sequence[str]) -> str:
        return f"{'drain' if self.drain else 'cordon'} the machine of {listed(nodes)}"

    def capture(self, driver: Any, node: Node) -> Captured:
        return dict(driver.capture_cordon(node, self.drain))

    def inject(self, driver: Any, node: Node, captured: Captured, mark: str, until: float) -> None:
        driver.cordon(captured, mark, until)

    def heal(self, driver: Any, node: Node, captured: Captured, mark: str) -> None:
        driver.uncordon(captured, mark)

    def read_back(self, driver: Any, node: Node, captured: Captured, mark: str) -> ReadBack:
        found: ReadBack = driver.uncordoned(captured, mark)
        return found
