from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from engine.capabilities import Captured, ReadBack
from engine.capabilities import Restart as CanRestart
from engine.faults import Fault, listed
from engine.parameters import param
from engine.target import Node


@dataclass(frozen=True)
class Stop(Fault):
    """Stops the process in good order, holds it down, and starts it again when the fault ends."""

    grace: float = param(5.0, unit="duration", help="how long it may take to stop before it is killed")

    needs: ClassVar[type] = CanRestart
    ends_by_record: ClassVar[bool] = True

    def line(self, nodes: Sequence[str]) -> str:
        return f"stop {listed(nodes)}"

    def inject(self, driver: Any, node: Node, captured: Captured, mark: str, until: float) -> None:
        driver.stop(captured, self.grace)

    def heal(self, driver: Any, node: Node, captured: Captured, mark: str) -> None:
        driver.start(node, captured)

    def read_back(self, driver: Any, node: Node, captured: Captured, mark: str) -> ReadBack:
        found: ReadBack = driver.running(node, captured)
        return found
