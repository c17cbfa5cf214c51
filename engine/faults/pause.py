from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from engine.capabilities import Captured, ReadBack
from engine.capabilities import Pause as CanPause
from engine.errors import Refused
from engine.faults import Fault, listed
from engine.target import Node


@dataclass(frozen=True)
class Pause(Fault):
    """Freezes the process and its children (SIGSTOP): its connections stay open and nothing answers."""

    needs: ClassVar[type] = CanPause
    ends_by_record: ClassVar[bool] = True

    def line(self, nodes: Sequence[str]) -> str:
        return f"pause {listed(nodes)}"

    def capture(self, driver: Any, node: Node) -> Captured:
        captured = super().capture(driver, node)
        if driver.unpaused(captured).gone is False:
            raise Refused(
                f"{node.name} is paused already, and not by chaosboard.",
                "Whoever paused it must let it go on first; healing would undo their work.",
            )
        return captured

    def inject(self, driver: Any, node: Node, captured: Captured, mark: str, until: float) -> None:
        driver.pause(captured)

    def heal(self, driver: Any, node: Node, captured: Captured, mark: str) -> None:
        driver.unpause(captured)

    def read_back(self, driver: Any, node: Node, captured: Captured, mark: str) -> ReadBack:
        found: ReadBack = driver.unpaused(captured)
        return found
