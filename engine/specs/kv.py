from dataclasses import dataclass

from engine.history import Op
from engine.specs import ILLEGAL, Call, Spec, State, _Illegal, freeze


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

    def step(self, state: State, call: Call) -> State | _Illegal:
        f, value = call
        if f == "get":
            return state if state == value else ILLEGAL
        if f == "put":
            return value  # type: ignore[no-any-return]
        return f"{'' if state is None else state}{value}"

    def _change(self, op: Op) -> Call:
        if op.f == "append" and not isinstance(op.value, str):
            self.bad(op, f"append takes a text, not {op.value!r}")
        return (op.f, freeze(op.value))
