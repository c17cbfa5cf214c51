from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from engine.capabilities import Captured, ReadBack
from engine.capabilities import Kill as CanKill
from engine.faults import Fault, listed
from engine.parameters import param
from engine.processes import SIGNALS
from engine.target import Node


@dataclass(frozen=True)
class Kill(Fault):
    """Ends the process by a signal, holds it down, and starts it again when the fault ends."""

    signal: str = param("KILL", help="the signal it gets: KILL, TERM, HUP, SEGV, … or its number")

    needs: ClassVar[type] = CanKill
    ends_by_record: ClassVar[bool] = True

    def __post_init__(self) -> None:
        name = str(self.signal).upper().removeprefix("SIG")
        numbers = {str(int(value)): key for key, value in SIGNALS.items()}
        name = numbers.get(name, name)
        if name not in SIGNALS:
            raise ValueError(f"{self.signal!r} is not a signal that kills; try KILL, TERM, INT, HUP or SEGV")
        object.__setattr__(self, "signal", name)

    def line(self, nodes: Sequence[str]) -> str:
        return f"kill {listed(nodes)} (SIG{self.signal})"

    def inject(self, driver: Any, node: Node, captured: Captured, mark: str, until: float) -> None:
        driver.signal(captured, self.signal)

    def heal(self, driver: Any, node: Node, captured: Captured, mark: str) -> None:
        driver.start(node, captured)

    def read_back(self, driver: Any, node: Node, captured: Captured, mark: str) -> ReadBack:
        found: ReadBack = driver.running(node, captured)
        return found
