from collections import Counter
from dataclasses import dataclass
from typing import Any, ClassVar

from engine.checkers import Checker, shown
from engine.history import History, Op
from engine.parameters import param
from engine.samples import Outcome
from engine.specs import REGISTRY as SPECS
from engine.text import count
from engine.verdict import Judgement, Verdict

NAME = "bank"
MOST_FINDINGS = 100


@dataclass(frozen=True)
class Bank(Checker):
    """Money moves and never comes or goes: every read of all accounts has the same total."""

    judges: ClassVar[tuple[str, ...]] = ("bank",)

    total: int | None = param(None, help="the total of all accounts; if absent, what most reads have")
    negative: bool = param(False, help="may a balance fall below nothing")

    def check(self, history: History) -> Judgement:
        spec = SPECS.get(NAME)()
        reads = []
        for op in history.ops:
            spec.call(op)  # names an operation that is none of a bank's
            if op.f == "read" and op.outcome is Outcome.OK:
                reads.append(op)
        if not reads:
            return Judgement(
                NAME, Verdict.UNKNOWN, "the accounts were never read", self._expected(None), "unknown"
            )
        total = self._total(reads)
        accounts = Counter(frozenset(op.result) for op in reads).most_common(1)[0][0]
        findings = [finding for op in reads for finding in self._wrong(op, total, accounts)]
        if findings:
            wrong = len({finding["operations"][0]["index"] for finding in findings})
            headline = f"{wrong:,} of {count(len(reads), 'read')} {'is' if wrong == 1 else 'are'} wrong"
            return Judgement(
                NAME,
                Verdict.VIOLATED,
                headline,
                self._expected(total),
                f"{wrong:,} wrong",
                findings[:MOST_FINDINGS],
            )
        headline = f"{count(len(reads), 'read')}, each with the total of {total}"
        return Judgement(NAME, Verdict.HELD, headline, self._expected(total), "0 wrong")

    def _expected(self, total: Any) -> str:
        return f"the total of all accounts is {'always the same' if total is None else total}"

    def _total(self, reads: list[Op]) -> Any:
        if self.total is not None:
            return self.total
        return Counter(_sum(op) for op in reads).most_common(1)[0][0]

    def _wrong(self, op: Op, total: Any, accounts: frozenset[str]) -> list[dict[str, Any]]:
        found = []
        if (balances := _sum(op)) != total:
            found.append(("wrong total", f"the balances make {balances}, not {total}"))
        if op.result.keys() != accounts:
            odd = ", ".join(sorted(map(str, op.result.keys() ^ accounts)))
            found.append(("wrong accounts", f"other reads differ in {odd}"))
        if not self.negative and (low := [a for a, b in op.result.items() if b is not None and b < 0]):
            found.append(
                ("overdrawn", f"{', '.join(map(str, low))} {'is' if len(low) == 1 else 'are'} below nothing")
            )
        return [{"kind": kind, "why": why, "operations": [shown(op)]} for kind, why in found]


def _sum(op: Op) -> Any:
    return sum(balance or 0 for balance in op.result.values())
