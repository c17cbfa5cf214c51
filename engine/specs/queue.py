from dataclasses import dataclass
from typing import ClassVar

from engine.history import Op
from engine.samples import Outcome
from engine.specs import ILLEGAL, Call, Spec, State, _Illegal, freeze, one_of


@dataclass(frozen=True)
class Queue(Spec):
    """First in, first out: dequeue takes the oldest value, null where there is none; drain takes many."""

    names = ("enqueue", "dequeue", "drain")
    initial: ClassVar[State] = ()

    def parts(self, op: Op) -> list[Op]:
        """A drain takes one value after the other, not all of them at once."""
        if op.f != "drain" or op.outcome is not Outcome.OK:
            return [op]
        if not isinstance(op.result, list | tuple):
            self.bad(op, f"drain must answer a list of values, not {op.result!r}")
        return [one_of(op, value) for value in op.result]

    def begun(self, op: Op) -> Call | None:
        return ("enqueue", freeze(op.value)) if op.f == "enqueue" else ("take",)

    def ended(self, op: Op) -> Call:
        if op.f == "enqueue" and op.value is None:
            self.bad(op, "null cannot be enqueued: it is the answer of an empty queue")
        return ("enqueue", freeze(op.value)) if op.f == "enqueue" else ("dequeue", freeze(op.result))

    def looks(self, call: Call) -> bool:
        return call == ("dequeue", None)

    def step(self, state: State, call: Call) -> State | _Illegal:
        assert isinstance(state, tuple)
        if call[0] == "enqueue":
            return (*state, call[1])
        if call[0] == "take":
            return state[1:]  # whatever was the oldest: nobody knows
        if call[1] is None:
            return ILLEGAL if state else state
        return state[1:] if state and state[0] == call[1] else ILLEGAL
