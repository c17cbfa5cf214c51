from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine import units
from engine.capabilities import Captured
from engine.errors import EngineError
from engine.faults import listed
from engine.faults._clock import _ClockFault
from engine.host import faketime, time_spaces, wrapping
from engine.parameters import param
from engine.target import Node


@dataclass(frozen=True)
class ClockSkew(_ClockFault):
    """Starts the process again with a clock that is ahead or behind, or that runs faster or slower.

    A process that was started with FAKETIME_TIMESTAMP_FILE is not started again: its file is changed, and
    it follows as soon as libfaketime reads the file anew, by default within 10 s.
    """

    clock: str = param(
        "wall", choices=("wall", "monotonic"),
        help="the time of day, or the clock that counts from the start of the host (root, Linux 5.6)",
    )  # fmt: skip
    rate: float = param(
        1.0, help="how fast the time of day goes for it: 1.5 is half as fast again; it also waits so",
        least=0.01, most=100.0,
    )  # fmt: skip

    def __post_init__(self) -> None:
        if self.clock == "monotonic" and self.rate != 1:
            raise ValueError("a monotonic clock keeps its rate; leave out `rate`")
        if self.clock == "monotonic" and not float(self.by).is_integer():
            raise ValueError("a monotonic clock is set by whole seconds")

    def line(self, nodes: Sequence[str]) -> str:
        clock = "monotonic clock" if self.clock == "monotonic" else "clock"
        rate = f" and make it run {self.rate:g} times as fast" if self.rate != 1 else ""
        return f"set the {clock} of {listed(nodes)} {units.show(self.by, 'duration')} {self.direction}{rate}"

    def capture(self, driver: Any, node: Node) -> Captured:
        if self.clock == "wall":
            return self.capture_wall(driver, node, self.rate)
        time_spaces.refuse(self.offset)
        captured = dict(driver.capture(node))
        family = driver.family(captured)
        wrapping.refuse_elsewhere(family[0]["pid"])
        space = wrapping.namespace(family[0]["pid"], "time")
        return {**captured, "way": "space", "space": space, "ports": wrapping.ports(node, family)}

    def inject(self, driver: Any, node: Node, captured: Captured, mark: str, until: float) -> None:
        if captured["way"] != "space":
            self.put_under(driver, node, captured, mark, faketime.line(self.offset, self.rate))
            return
        wrapping.restart(
            driver, node, captured, lambda pid: time_spaces.carries(pid, mark), environ={},
            before=time_spaces.before(mark, self.offset), grace=self.grace, within=self.back_within,
        )  # fmt: skip
        found = wrapping.carrying(lambda pid: time_spaces.carries(pid, mark))
        if not any(time_spaces.moved(pid, captured["space"]) for pid in found):
            raise EngineError(f"The kernel gave {node.name} no clock of its own.", "It may be too old.")
