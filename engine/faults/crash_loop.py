import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from engine import actor
from engine.capabilities import Captured, Needs, ReadBack
from engine.capabilities import Host as IsHere
from engine.capabilities import Kill as CanKill
from engine.errors import EngineError
from engine.faults import Fault, listed
from engine.parameters import param
from engine.target import Node

LOOK = 0.02  # seconds between two looks at the node


@dataclass(frozen=True)
class CrashLoop(Fault):
    """Kills the process, starts it, and kills it again a while after it came up, over and over."""

    lives: float = param(1.0, unit="duration", help="how long it runs before it is killed again", least=0.05)
    down: float = param(0.5, unit="duration", help="how long it is down before it is started again")

    needs: ClassVar[Needs] = (CanKill, IsHere)
    ends_by_record: ClassVar[bool] = True

    def line(self, nodes: Sequence[str]) -> str:
        return f"crash {listed(nodes)} again and again"

    def inject(self, driver: Any, node: Node, captured: Captured, mark: str, until: float) -> None:
        actor.start(mark)

    def act(self, driver: Any, node: Node, captured: Captured, alive: Callable[[], bool]) -> None:
        actor.acting()
        now = captured
        while alive():
            driver.signal(now, "KILL")
            _wait(self.down, alive)
            if not alive():
                return
            driver.start(node, now)
            _wait(self.lives, alive)
            try:
                now = {**driver.capture(node), "how": captured["how"]} if "how" in captured else now
            except EngineError:
                continue  # it is not up again: started once more, from what was known of it

    def heal(self, driver: Any, node: Node, captured: Captured, mark: str) -> None:
        actor.end(mark)
        driver.start(node, captured)

    def read_back(self, driver: Any, node: Node, captured: Captured, mark: str) -> ReadBack:
        if left := actor.left(mark):
            return ReadBack(False, f"what kills {node.name} is still there: {listed(left)}")
        found: ReadBack = driver.running(node, captured)
        return found


def _wait(seconds: float, alive: Callable[[], bool]) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and alive():
        time.sleep(min(LOOK, max(0.0, end - time.monotonic())))
