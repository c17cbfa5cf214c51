from collections.abc import Sequence
from dataclasses import dataclass

from engine.history import Op
from engine.specs import ILLEGAL, Call, Spec, State, _Illegal, asked, freeze, named

MISMATCH = "mismatch"  # the error of a cas that was answered "not equal"


@dataclass(frozen=True)
class CasRegister(Spec):
    """A register with compare-and-set: cas [old, new] writes new only where the value is old."""

    names = ("read", "write", "cas")

    def begun(self, op: Op) -> Call | None:
        return None if op.f == "read" else self._change(op)

    def ended(self, op: Op) -> Call:
        return ("read", freeze(op.result)) if op.f == "read" else self._change(op)

    def refused(self, op: Op) -> Call | None:
        """Answered "not equal", it has read another value than old."""
        if op.f != "cas" or op.error != MISMATCH:
            return None
        return ("not", self._change(op)[1])

    def looks(self, call: Call) -> bool:
        return call[0] in ("read", "not")

    def starts(self, calls: Sequence[Call], all_calls: Sequence[Call]) -> list[State] | None:
        return named(calls, all_calls)

    def helps(self, call: Call, others: Sequence[Call]) -> bool:
        return asked(call, others)

    def step(self, state: State, call: Call) -> State | _Illegal:
        f, value = call[:2]
        if f == "write":
            written: State = value
            return written
        if f == "not":
            return state if state != value else ILLEGAL
        if state != value:
            return ILLEGAL
        return state if f == "read" else call[2]

    def _change(self, op: Op) -> Call:
        if op.f == "write":
            return ("write", freeze(op.value))
        if not isinstance(op.value, list | tuple) or len(op.value) != 2:
            self.bad(op, f"cas takes [old, new], not {op.value!r}")
        return ("cas", *map(freeze, op.value))
