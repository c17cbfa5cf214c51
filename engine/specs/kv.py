from collections.abc import Sequence
from dataclasses import dataclass

from engine.history import Op
from engine.specs import ILLEGAL, Call, Spec, State, _Illegal, freeze, named


@dataclass(frozen=True)
class Kv(Spec):
    """A key-value store: get gives the value of the key or null, put sets it, append writes behind it."""

    names = ("get", "put", "append")

    def begun(self, op: Op) -> Call | None:
        return None if op.f == "get" else self._change(op)

    def ended(self, op: Op) -> Call:
        return ("get", freeze(op.result)) if op.f == "get" else self._change(op)

    def looks(self, call: Call) -> bool:
        return bool(call[0] == "get")

    def starts(self, calls: Sequence[Call], all_calls: Sequence[Call]) -> list[State] | None:
        if any(call[0] == "append" for call in all_calls):
            return None  # what comes of it depends on what was there
        writes = [("write", call[1]) for call in all_calls if call[0] == "put"]
        return named([("read", call[1]) for call in calls if call[0] == "get"], writes)

    def helps(self, call: Call, others: Sequence[Call]) -> bool:
        if any(other[0] == "append" for other in [call, *others]):
            return True
        return ("get", call[1]) in others

    def step(self, state: State, call: Call) -> State | _Illegal:
        f, value = call
        if f == "get":
            return state if state == value else ILLEGAL
        if f == "put":
            written: State = value
            return written
        return f"{'' if state is None else state}{value}"

    def _change(self, op: Op) -> Call:
        if op.f == "append" and not isinstance(op.value, str):
            self.bad(op, f"append takes a text, not {op.value!r}")
        return (op.f, freeze(op.value))
