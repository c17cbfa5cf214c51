from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from engine import units
from engine.capabilities import Captured, Limit, ReadBack
from engine.faults import Fault, listed
from engine.parameters import param
from engine.target import Node

CPU = 0.1  # processors, where nothing is said


@dataclass(frozen=True)
class Throttle(Fault):
    """Takes computing time, memory or both from the node, as a busy neighbour or a limit set too low does."""

    cpu: float | None = param(
        None,
        help="how many processors it may use, such as 0.1 or 1.5; a tenth of one where memory is not given either",
        least=0.01,
    )
    memory: float | None = param(
        None,
        unit="size",
        help="how much memory it may use; what it needs beyond that is swapped out, or the kernel kills it",
        least=2**20,
    )

    needs: ClassVar[type] = Limit

    def __post_init__(self) -> None:
        if self.cpu is None and self.memory is None:
            object.__setattr__(self, "cpu", CPU)

    def line(self, nodes: Sequence[str]) -> str:
        parts = [] if self.cpu is None else [f"{self.cpu:g} {'processor' if self.cpu == 1 else 'processors'}"]
        parts += [] if self.memory is None else [f"{units.show(self.memory, 'size')} of memory"]
        return f"throttle {listed(nodes)} to {listed(parts)}"

    def capture(self, driver: Any, node: Node) -> Captured:
        return dict(driver.capture_limits(node))

    def inject(self, driver: Any, node: Node, captured: Captured, mark: str, until: float) -> None:
        driver.limit(captured, mark, self.cpu, None if self.memory is None else int(self.memory))

    def heal(self, driver: Any, node: Node, captured: Captured, mark: str) -> None:
        driver.unlimit(captured, mark)

    def read_back(self, driver: Any, node: Node, captured: Captured, mark: str) -> ReadBack:
        found: ReadBack = driver.unlimited(captured, mark)
        return found
