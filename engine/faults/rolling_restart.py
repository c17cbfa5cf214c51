import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from engine.capabilities import Captured, ReadBack
from engine.capabilities import Restart as CanRestart
from engine.errors import EngineError
from engine.faults import Fault, listed
from engine.parameters import param
from engine.target import Node

LOOK = 0.05  # seconds between two looks whether the node is back


@dataclass(frozen=True)
class RollingRestart(Fault):
    """Restarts the nodes one after another, as a careful deployment does; the next waits for the last."""

    nodes: list[str] = param(["all"], help="whom it hits, in the order in which they are registered")
    grace: float = param(5.0, unit="duration", help="how long one may take to stop before it is killed")
    pause: float = param(1.0, unit="duration", help="how long to wait after one is back, before the next")
    back_within: float = param(30.0, unit="duration", help="how long one may take to come back")

    needs: ClassVar[type] = CanRestart
    one_by_one: ClassVar[bool] = True

    def line(self, nodes: Sequence[str]) -> str:
        return f"restart {listed(nodes)} one after another"

    def inject(self, driver: Any, node: Node, captured: Captured, mark: str, until: float) -> None:
        driver.stop(captured, self.grace)
        driver.start(node, captured)
        end = min(time.time() + self.back_within, until)
        while not driver.running(node, captured).gone:
            if time.time() > end:
                raise EngineError(f"{node.name} did not come back, so the next one was not restarted.")
            time.sleep(LOOK)
        time.sleep(max(0.0, min(self.pause, until - time.time())))

    def heal(self, driver: Any, node: Node, captured: Captured, mark: str) -> None:
        driver.start(node, captured)

    def read_back(self, driver: Any, node: Node, captured: Captured, mark: str) -> ReadBack:
        found: ReadBack = driver.running(node, captured)
        return found
