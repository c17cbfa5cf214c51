from dataclasses import dataclass
from typing import ClassVar

from engine.history import Op
from engine.specs import ILLEGAL, Call, Spec, State, _Illegal, freeze


@dataclass(frozen=True)
class Set(Spec):
    """A set that only grows: read gives all elements that were added, each once."""

    names = ("add", "read")
    initial: ClassVar[State] = frozenset()

    def begun(self, op: Op) -> Call | None:
        return None if op.f == "read" else ("add", freeze(op.value))

    def ended(self, op: Op) -> Call:
        if op.f == "add":
            return ("add", freeze(op.value))
        if not isinstance(op.result, list | tuple):
            self.bad(op, f"read must answer a list of elements, not {op.result!r}")
        return ("read", freeze(op.result))

    def step(self, state: State, call: Call) -> State | _Illegal:
        assert isinstance(state, frozenset)
        f, value = call
        if f == "add":
            return state | {value}
        return state if len(value) == len(state) and state == set(value) else ILLEGAL
