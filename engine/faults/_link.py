"""What the faults on a link have in common: only how they disturb it differs."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from engine.capabilities import Captured, Network, ReadBack
from engine.errors import Refused
from engine.faults import Fault
from engine.target import Node


@dataclass(frozen=True)
class _LinkFault(Fault):
    needs: ClassVar[type] = Network

    @abstractmethod
    def how(self) -> dict[str, Any]:
        """What the link is to do, as `engine.proxy` reads it."""

    def capture(self, driver: Any, node: Node) -> Captured:
        if why := driver.unable(node, self.how()):
            raise Refused(why)
        driver.prepare(node)
        return {}

    def inject(self, driver: Any, node: Node, captured: Captured, mark: str, until: float) -> None:
        driver.disturb(node, mark, self.how(), until)

    def heal(self, driver: Any, node: Node, captured: Captured, mark: str) -> None:
        driver.clear(node, mark)

    def read_back(self, driver: Any, node: Node, captured: Captured, mark: str) -> ReadBack:
        found: ReadBack = driver.cleared(node, mark)
        return found
