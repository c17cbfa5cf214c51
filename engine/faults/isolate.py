from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from engine.capabilities import Captured, ReadBack
from engine.capabilities import Isolate as CanIsolate
from engine.faults import Fault, listed
from engine.target import Node


@dataclass(frozen=True)
class Isolate(Fault):
    """Takes the node off all its networks: it runs on and reaches nobody, and nobody reaches it."""

    needs: ClassVar[type] = CanIsolate

    def line(self, nodes: Sequence[str]) -> str:
        return f"take {listed(nodes)} off the network"

    def capture(self, driver: Any, node: Node) -> Captured:
        return dict(driver.capture_networks(node))

    def inject(self, driver: Any, node: Node, captured: Captured, mark: str, until: float) -> None:
        driver.isolate(captured, mark)

    def heal(self, driver: Any, node: Node, captured: Captured, mark: str) -> None:
        driver.rejoin(captured, mark)

    def read_back(self, driver: Any, node: Node, captured: Captured, mark: str) -> ReadBack:
        found: ReadBack = driver.rejoined(captured, mark)
        return found
