from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from engine import registers
from engine.calls import Call
from engine.history import History
from engine.parameters import param
from engine.text import count
from engine.workloads import Counts, Workload


@dataclass(frozen=True)
class Bank(Workload):
    """Moves amounts between accounts and reads all balances: is the sum always the same?"""

    keeps: ClassVar[str] = "bank"
    checkers: ClassVar[tuple[str, ...]] = ("bank",)

    accounts: int = param(8, help="between how many accounts", least=2, most=1000)
    balance: int = param(100, help="what each account holds at first", least=0, most=1_000_000)
    reads: float = param(
        0.5, unit="share", help="the share of the operations that only read", least=0, most=0.99
    )

    def does(self) -> str:
        return f"move amounts between {count(self.accounts, 'account')}"

    def objects(self) -> tuple[str, ...]:
        return tuple(f"a{n}" for n in range(self.accounts))

    def given(self) -> dict[str, int]:
        return dict.fromkeys(self.objects(), self.balance)

    def calls(self, dice: Random) -> Iterator[Call]:
        names = self.objects()
        while True:
            if dice.random() < self.reads:
                yield Call("read")
            else:
                source, to = dice.sample(names, 2)
                yield Call("transfer", {"from": source, "to": to, "amount": dice.randint(1, 5)})

    def last(self) -> list[Call]:
        return [Call("read")]

    def counts(self, history: History) -> Counts:
        return registers.tally(history.columns, ("transfer",))
