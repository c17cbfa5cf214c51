from collections.abc import Sequence
from dataclasses import dataclass

from engine.history import Op
from engine.specs import ILLEGAL, Call, Spec, State, _Illegal, asked, freeze, named


@dataclass(frozen=True)
class Register(Spec):
    """One value: read gives what was written last, null before the first write."""

    names = ("read", "write")

    def begun(self, op: Op) -> Call | None:
        return None if op.f == "read" else ("write", freeze(op.value))

    def ended(self, op: Op) -> Call:
        return (op.f, freeze(op.result if op.f == "read" else op.value))

    def starts(self, calls: Sequence[Call], all_calls: Sequence[Call]) -> list[State] | None:
        return named(calls, all_calls)

    def helps(self, call: Call, others: Sequence[Call]) -> bool:
        return asked(call, others)

    def step(self, state: State, call: Call) -> State | _Illegal:
        f, value = call
        if f == "write":
            written: State = value
            return written
        return state if state == value else ILLEGAL
