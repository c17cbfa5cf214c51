from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from engine.capabilities import Captured, ReadBack
from engine.capabilities import Scale as CanScale
from engine.faults import Fault, listed
from engine.parameters import param
from engine.target import Node


@dataclass(frozen=True)
class Scale(Fault):
    """Scales the workload of the pod to another number of replicas, and back when the fault ends."""

    replicas: int = param(0, help="how many there are meanwhile; 0 takes the whole workload away", least=0)

    needs: ClassVar[type] = CanScale

    def line(self, nodes: Sequence[str]) -> str:
        return f"scale the workload of {listed(nodes)} to {self.replicas}"

    def capture(self, driver: Any, node: Node) -> Captured:
        return dict(driver.capture_scale(node))

    def inject(self, driver: Any, node: Node, captured: Captured, mark: str, until: float) -> None:
        driver.scale(captured, mark, self.replicas, until)

    def heal(self, driver: Any, node: Node, captured: Captured, mark: str) -> None:
        driver.unscale(captured, mark)

    def read_back(self, driver: Any, node: Node, captured: Captured, mark: str) -> ReadBack:
        found: ReadBack = driver.unscaled(captured, mark)
        return found
