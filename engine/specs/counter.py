from dataclasses import dataclass
from typing import ClassVar

from engine.history import Op
from engine.specs import ILLEGAL, Call, Spec, State, _Illegal


@dataclass(frozen=True)
class Counter(Spec):
    """A sum: read gives the sum of all that was added, 0 before the first."""

    names = ("add", "read")
    initial: ClassVar[State] = 0

    def begun(self, op: Op) -> Call | None:
        return None if op.f == "read" else ("add", self._number(op, op.value))

    def ended(self, op: Op) -> Call:
        return (op.f, self._number(op, op.result if op.f == "read" else op.value))

    def step(self, state: State, call: Call) -> State | _Illegal:
        assert isinstance(state, int | float)
        if call[0] == "add":
            after: State = state + call[1]
            return after
        return state if state == call[1] else ILLEGAL

    def _number(self, op: Op, value: object) -> int | float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.bad(op, f"{op.f} must have a number, not {value!r}")
        return value
