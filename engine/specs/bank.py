from dataclasses import dataclass
from typing import Any, ClassVar

from engine.history import Op
from engine.specs import ILLEGAL, Call, Spec, State, _Illegal

UNREAD = "unread"


@dataclass(frozen=True)
class Bank(Spec):
    """Accounts: transfer moves an amount, read gives all balances at once. The first read tells how it began."""

    names = ("transfer", "read")
    initial: ClassVar[State] = (UNREAD, ())

    def begun(self, op: Op) -> Call | None:
        return None if op.f == "read" else self._transfer(op)

    def ended(self, op: Op) -> Call:
        if op.f == "transfer":
            return self._transfer(op)
        if not isinstance(op.result, dict):
            self.bad(op, f"read must answer the balances by account, not {op.result!r}")
        for balance in op.result.values():
            if isinstance(balance, bool) or not isinstance(balance, int | float | None):
                self.bad(op, f"a balance must be a number or null, not {balance!r}")
        return ("read", *_sorted({str(k): v for k, v in op.result.items()}))

    def step(self, state: State, call: Call) -> State | _Illegal:
        """The state is what is known of the balances, or only what they have changed by."""
        assert isinstance(state, tuple)
        known, balances = state[0], dict(state[1])
        if call[0] == "read":
            if known == UNREAD:
                told = dict(call[1:])
                return ("read", call[1:]) if balances.keys() <= told.keys() else ILLEGAL
            return state if state[1] == call[1:] else ILLEGAL
        source, target, amount = call[1:]
        if known != UNREAD and not {source, target} <= balances.keys():
            return ILLEGAL
        balances[source] = balances.get(source, 0) - amount
        balances[target] = balances.get(target, 0) + amount
        return (known, _sorted(balances))

    def looks(self, call: Call) -> bool:
        return False  # the first read changes what is known

    def _transfer(self, op: Op) -> Call:
        value = op.value
        if not isinstance(value, dict) or not {"from", "to", "amount"} <= value.keys():
            self.bad(op, f"transfer takes {{from, to, amount}}, not {value!r}")
        if isinstance(value["amount"], bool) or not isinstance(value["amount"], int | float):
            self.bad(op, f"the amount must be a number, not {value['amount']!r}")
        return ("transfer", str(value["from"]), str(value["to"]), value["amount"])


def _sorted(balances: dict[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(balances.items()))
