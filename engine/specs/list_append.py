from dataclasses import dataclass
from typing import Any, ClassVar

from engine.history import Op
from engine.samples import Outcome
from engine.specs import ILLEGAL, Call, Spec, State, _Illegal, freeze
from engine.txn import micros


@dataclass(frozen=True)
class ListAppend(Spec):
    """Transactions on lists by key: append writes at the end, r gives the whole list, null or [] if empty."""

    keyed: ClassVar[bool] = False
    names = ("txn",)
    initial: ClassVar[State] = frozenset()
    writes: ClassVar[str] = "append"

    def begun(self, op: Op) -> Call | None:
        found = [(m.f, m.key, freeze(m.value)) for m in micros(op, self.writes) if m.f != "r"]
        return ("txn", *found) if found else None

    def ended(self, op: Op) -> Call:
        assert op.outcome is Outcome.OK
        return ("txn", *((m.f, m.key, freeze(m.value)) for m in micros(op, self.writes)))

    def looks(self, call: Call) -> bool:
        return all(f == "r" for f, _, _ in call[1:])

    def step(self, state: State, call: Call) -> State | _Illegal:
        assert isinstance(state, frozenset)
        objects = dict(state)
        for f, key, value in call[1:]:
            if f != "r":
                objects[key] = self.written(objects.get(key), value)
            elif not self.is_read(objects.get(key), value):
                return ILLEGAL
        return frozenset(objects.items())

    def written(self, before: Any, value: Any) -> Any:
        return (*(before or ()), value)

    def is_read(self, there: Any, value: Any) -> bool:
        return (there or ()) == (value or ())
