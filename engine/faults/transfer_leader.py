from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from engine.capabilities import Captured, ReadBack
from engine.capabilities import Lead as CanLead
from engine.faults import Fault, listed
from engine.parameters import param
from engine.target import Node


@dataclass(frozen=True)
class TransferLeader(Fault):
    """Asks the leader to pass its lead on, as before a planned restart: the gentlest change of leader.

    There is nothing to take back, unless it was cut off half way: at the end it is read that somebody
    leads, and who. With `back`, the one that led before leads again then.
    """

    nodes: list[str] = param(["leader"], help="the leader, or the name of the node that is to lead no more")
    to: str = param(
        "", help="who is to lead then, by the name that the service itself has for it; or anybody"
    )
    back: bool = param(False, help="give the lead back at the end")

    needs: ClassVar[type] = CanLead

    def line(self, nodes: Sequence[str]) -> str:
        return f"pass the lead of {listed(nodes)} on{f' to {self.to}' if self.to else ''}"

    def capture(self, driver: Any, node: Node) -> Captured:
        return dict(driver.capture_lead(node, self.to, self.back))

    def inject(self, driver: Any, node: Node, captured: Captured, mark: str, until: float) -> str:
        return f"{driver.hand_over(captured)} leads now"

    def heal(self, driver: Any, node: Node, captured: Captured, mark: str) -> None:
        driver.settle(captured)
        if self.back:
            driver.hand_back(captured)

    def read_back(self, driver: Any, node: Node, captured: Captured, mark: str) -> ReadBack:
        found: ReadBack = driver.led(captured)
        return found
