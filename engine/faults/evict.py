from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from engine.capabilities import Captured, ReadBack
from engine.capabilities import Evict as CanEvict
from engine.faults import Fault, listed
from engine.target import Node


@dataclass(frozen=True)
class Evict(Fault):
    """Asks the cluster to evict the pod, as an upgrade of its machine does; a disruption budget may say no."""

    needs: ClassVar[type] = CanEvict

    def line(self, nodes: Sequence[str]) -> str:
        return f"evict {listed(nodes)}"

    def inject(self, driver: Any, node: Node, captured: Captured, mark: str, until: float) -> None:
        driver.evict(captured)

    def heal(self, driver: Any, node: Node, captured: Captured, mark: str) -> None:
        driver.start(node, captured)

    def read_back(self, driver: Any, node: Node, captured: Captured, mark: str) -> ReadBack:
        found: ReadBack = driver.running(node, captured)
        return found
