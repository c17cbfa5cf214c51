import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from engine import actor, units
from engine.capabilities import Captured, ReadBack
from engine.faults import listed
from engine.faults._clock import _ClockFault
from engine.host import faketime
from engine.parameters import param
from engine.state import MARK
from engine.target import Node

LOOK = 0.02  # seconds between two looks whether the fault still lives


@dataclass(frozen=True)
class ClockStrobe(_ClockFault):
    """Starts the process again with a clock that jumps between right and wrong, over and over.

    A process that was started with FAKETIME_TIMESTAMP_FILE is not started again: its file is changed.
    """

    every: float = param(1.0, unit="duration", help="how long the clock is wrong, and then right", least=0.01)

    def line(self, nodes: Sequence[str]) -> str:
        by, every = units.show(self.by, "duration"), units.show(self.every, "duration")
        return f"let the clock of {listed(nodes)} jump {by} {self.direction} and back, every {every}"

    def capture(self, driver: Any, node: Node) -> Captured:
        return self.capture_wall(driver, node)

    def inject(self, driver: Any, node: Node, captured: Captured, mark: str, until: float) -> None:
        self.put_under(driver, node, captured, mark, faketime.RIGHT)
        actor.start(mark)

    def act(self, driver: Any, node: Node, captured: Captured, alive: Callable[[], bool]) -> None:
        mark = os.environ[MARK]
        wrong, right = faketime.line(self.offset, 1), faketime.RIGHT
        actor.acting()
        while alive():
            self.move(driver, node, captured, mark, wrong)
            wrong, right = right, wrong
            end = time.monotonic() + self.every
            while time.monotonic() < end and alive():
                time.sleep(min(LOOK, max(0.0, end - time.monotonic())))

    def heal(self, driver: Any, node: Node, captured: Captured, mark: str) -> None:
        actor.end(mark)
        super().heal(driver, node, captured, mark)

    def read_back(self, driver: Any, node: Node, captured: Captured, mark: str) -> ReadBack:
        if left := actor.left(mark):
            return ReadBack(False, f"what moves the clock of {node.name} is still there: {listed(left)}")
        return super().read_back(driver, node, captured, mark)
