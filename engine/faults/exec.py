import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from engine.capabilities import Captured, ReadBack
from engine.capabilities import Exec as CanExec
from engine.faults import Fault, listed
from engine.parameters import param
from engine.target import Node


@dataclass(frozen=True, kw_only=True)
class Exec(Fault):
    """Runs a command inside the node, and the command that takes it back when the fault ends."""

    command: list[str] = param(
        help="the command that hurts it, as in tc qdisc add dev eth0 root netem loss 10%"
    )
    undo: list[str] = param([], help="the command that takes it back; it may be run more than once")
    needs_no_undo: bool = param(False, help="nothing of it remains when the command has ended")
    within: float = param(10.0, unit="duration", help="how long each command may take", least=0.1, most=60)

    needs: ClassVar[type] = CanExec
    example: ClassVar[dict[str, Any]] = {"command": "touch /tmp/broken", "undo": "rm -f /tmp/broken"}

    def __post_init__(self) -> None:
        if not self.command:
            raise ValueError("needs the command that hurts")
        if not self.undo and not self.needs_no_undo:
            raise ValueError("needs an undo command; where nothing remains of it, set needs_no_undo")
        if self.undo and self.needs_no_undo:
            raise ValueError("has an undo command and says that it needs none; leave one of them out")

    def line(self, nodes: Sequence[str]) -> str:
        back = f"and back `{shlex.join(self.undo)}`" if self.undo else "which needs no undo"
        return f"run `{shlex.join(self.command)}` in {listed(nodes)}, {back}"

    def capture(self, driver: Any, node: Node) -> Captured:
        return dict(driver.capture_exec(node))

    def inject(self, driver: Any, node: Node, captured: Captured, mark: str, until: float) -> None:
        driver.execute(captured, mark, self.command, self.undo, self.within)

    def heal(self, driver: Any, node: Node, captured: Captured, mark: str) -> None:
        driver.unexecute(captured, mark, self.undo, self.within)

    def read_back(self, driver: Any, node: Node, captured: Captured, mark: str) -> ReadBack:
        found: ReadBack = driver.unexecuted(captured, mark)
        return found
