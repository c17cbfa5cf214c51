from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from engine.capabilities import Captured, ReadBack
from engine.capabilities import Members as CanChange
from engine.faults import Fault, listed
from engine.target import Node


@dataclass(frozen=True)
class AddMember(Fault):
    """Adds a voting member that never comes, so that more of those that are there must agree.

    As after a mistake while a cluster is made larger: of three nodes two are enough, of four it takes
    three. It is taken out again at the end, which a majority must agree to: where one is missing by
    then, it is tried again until it is there.
    """

    needs: ClassVar[type] = CanChange

    def line(self, nodes: Sequence[str]) -> str:
        return f"add a member that never comes, through {listed(nodes)}"

    def capture(self, driver: Any, node: Node) -> Captured:
        return dict(driver.capture_members(node))

    def inject(self, driver: Any, node: Node, captured: Captured, mark: str, until: float) -> None:
        driver.add_member(captured, mark)

    def heal(self, driver: Any, node: Node, captured: Captured, mark: str) -> None:
        driver.remove_member(captured, mark)

    def read_back(self, driver: Any, node: Node, captured: Captured, mark: str) -> ReadBack:
        found: ReadBack = driver.removed(captured, mark)
        return found
