from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from engine.capabilities import Captured, ReadBack
from engine.capabilities import Follow as CanFollow
from engine.faults import Fault, listed
from engine.parameters import param
from engine.target import Node


@dataclass(frozen=True)
class DetachReplica(Fault):
    """Makes replicas follow nobody, and replicas again at the end.

    Those of Redis are primaries of their own meanwhile: what was written to them is lost when they follow
    again, and Sentinels that watch them make them replicas by themselves after some seconds. Standbys of
    PostgreSQL take no writes: what they serve gets old, and nothing is lost.
    """

    nodes: list[str] = param(["followers"], help="the followers, or names of replicas")

    needs: ClassVar[type] = CanFollow

    def line(self, nodes: Sequence[str]) -> str:
        return f"detach {listed(nodes)} from the primary"

    def capture(self, driver: Any, node: Node) -> Captured:
        return dict(driver.capture_following(node))

    def inject(self, driver: Any, node: Node, captured: Captured, mark: str, until: float) -> str:
        return str(driver.detach(captured))

    def heal(self, driver: Any, node: Node, captured: Captured, mark: str) -> None:
        driver.attach(captured)

    def read_back(self, driver: Any, node: Node, captured: Captured, mark: str) -> ReadBack:
        found: ReadBack = driver.follows(captured)
        return found
