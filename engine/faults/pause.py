from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from engine.drivers import Captured, ReadBack
from engine.drivers import Pause as CanPause
from engine.faults import Fault, listed
from engine.target import Node


@dataclass(frozen=True)
class Pause(Fault):
    """Freezes the process and its children (SIGSTOP): its connections stay open and nothing answers."""

    needs: ClassVar[type] = CanPause

    def line(self, nodes: Sequence[str]) -> str:
        return f"pause {listed(nodes)}"

    def inject(self, driver: Any, node: Node, captured: Captured, mark: str, until: float) -> None:
        driver.pause(captured)

    def heal(self, driver: Any, node: Node, captured: Captured, mark: str) -> None:
        driver.unpause(captured)

    def read_back(self, driver: Any, node: Node, captured: Captured, mark: str) -> ReadBack:
        found: ReadBack = driver.unpaused(captured)
        return found
