import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from engine import actor, state
from engine.capabilities import Act, Captured, ReadBack
from engine.errors import EngineError
from engine.faults import Fault, listed
from engine.parameters import param
from engine.target import Node

NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")


@dataclass(frozen=True, kw_only=True)
class Action(Fault):
    """Calls an action of a Chaos Toolkit extension, and its rollback when the fault ends."""

    action: str = param(help="the function that hurts, as chaosaws.ec2.actions.stop_instance")
    rollback: str = param(help="the function that takes it back; called again it must do no harm")
    arguments: dict[str, Any] = param(
        {}, help="what the action is called with; ${node}, ${address}, ${host} and ${port} are the node's"
    )
    rollback_arguments: dict[str, Any] = param({}, help="what the rollback is called with")
    verify: str = param(
        "", help="the function that looks whether it is taken back; without it nobody knows, and the node is "
        "not hurt again",
    )  # fmt: skip
    verify_arguments: dict[str, Any] = param({}, help="what verify is called with")
    tolerance: str = param(
        "true", help="what verify must return, as a Chaos Toolkit tolerance in JSON: true, 0, [1, 5], …"
    )

    needs: ClassVar[type] = Act

    def __post_init__(self) -> None:
        for name in ("action", "rollback", "verify"):
            value = getattr(self, name)
            if value and not NAME.fullmatch(value):
                raise ValueError(f"{name}: {value!r} is no function; write it as module.function")
        for name in ("action", "rollback"):
            if not getattr(self, name):
                raise ValueError(f"{name} is missing: a fault carries its own undo")

    def line(self, nodes: Sequence[str]) -> str:
        return f"{self.action} on {listed(nodes)}"

    def capture(self, driver: Any, node: Node) -> Captured:
        verifying = [_call(self.verify, self.verify_arguments)] if self.verify else []
        return dict(driver.capture_act(node, [self._acting(), self._rolling_back(), *verifying]))

    def inject(self, driver: Any, node: Node, captured: Captured, mark: str, until: float) -> None:
        driver.call(captured, self._acting(), mark)

    def heal(self, driver: Any, node: Node, captured: Captured, mark: str) -> None:
        """Ends the action where it still runs, then rolls back; what nobody verifies, only until that went well."""
        actor.end(mark)
        done = state.root() / "undo" / "rolled-back" / mark
        if self.verify or not done.exists():
            driver.call(captured, self._rolling_back())
            state.write_quickly(done, self.rollback)

    def read_back(self, driver: Any, node: Node, captured: Captured, mark: str) -> ReadBack:
        if left := actor.left(mark):
            return ReadBack(False, f"{self.action} still runs: {listed(left)}")
        if not self.verify:
            raise EngineError(f"{self.rollback} was called, but no verify function says what became of it.")
        within, returned = driver.look(captured, _call(self.verify, self.verify_arguments), self._wanted())
        return ReadBack(within, f"{self.verify} returned {returned!r}")

    def _acting(self) -> dict[str, Any]:
        return _call(self.action, self.arguments)

    def _rolling_back(self) -> dict[str, Any]:
        return _call(self.rollback, self.rollback_arguments)

    def _wanted(self) -> Any:
        try:
            return json.loads(self.tolerance)
        except ValueError:
            return self.tolerance  # a plain text


def _call(function: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return {"function": function, "arguments": arguments}
