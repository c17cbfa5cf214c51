"""Isolation levels, the anomalies that each forbids, and what a checker of transactions has in common."""

import time
from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from engine.checkers import Checker, shown
from engine.checkers._cycles import Named, cycles
from engine.checkers._graph import KINDS, TIME, Edge, Graph
from engine.checkers._transactions import Transactions, transactions
from engine.collecting import paused
from engine.columns import NEVER, Ints
from engine.history import History
from engine.parameters import param
from engine.replay import MOST, Step, every_order, rejects, steps
from engine.samples import Outcome
from engine.specs import REGISTRY as SPECS
from engine.specs import Spec
from engine.text import count
from engine.verdict import Judgement, Verdict

# By Adya (1999: PL-1, PL-2, PL-2.99, PL-3), Cerone and Gotsman (2018: snapshot isolation has no cycle without
# two rw in a row) and Bailis (2014: lost updates); reads are of single items here, never of predicates, so every
# G2 that can be found is a G2-item, and repeatable read and serializable forbid the same. What is no cycle as Elle
# has it: appends that count twice are against PL-1, two orders of a list show that one was read which was taken back.
READ_UNCOMMITTED = ("unwritten", "duplicate", "G0")
READ_COMMITTED = (*READ_UNCOMMITTED, "incompatible order", "G1a", "G1b", "G1c", "internal")
SNAPSHOT = (*READ_COMMITTED, "non-repeatable read", "lost update", "G-single", "G-nonadjacent")
REPEATABLE = (*SNAPSHOT, "G2-item")
TIMED = tuple(f"{name} in real time" for name in ("G0", "G1c", "G-single", "G-nonadjacent", "G2-item"))
FORBIDS = {
    "read-uncommitted": READ_UNCOMMITTED,
    "read-committed": READ_COMMITTED,
    "snapshot-isolation": SNAPSHOT,
    "repeatable-read": REPEATABLE,
    "serializable": REPEATABLE,
    "strict-serializable": (*REPEATABLE, *TIMED),
}
ATOMIC = ("serializable", "strict-serializable")
MOST_FINDINGS = 8  # of a kind


def rules_out(kind: str) -> list[str]:
    return [level for level, kinds in FORBIDS.items() if kind in kinds]


@dataclass
class Seen:
    """An anomaly; `rows` are those of its transactions, `cycle` what leads from one to the next."""

    kind: str
    why: str
    rows: list[int]
    key: Any = None
    cycle: list[dict[str, Any]] | None = None


class Analysis:
    """Of one history: the anomalies that need no graph, and the graph."""

    def __init__(self, t: Transactions) -> None:
        self.t, self.graph = t, Graph(len(t))
        self.seen: list[Seen] = []
        self.unjudged = ""  # why it cannot be judged at all

    def note(self, kind: str, chosen: Ints, make: Any) -> None:
        """`make(i)` gives why, rows and key of the anomaly at `i`; of one kind only the first few are kept."""
        for i in chosen[:MOST_FINDINGS].tolist():
            why, rows, key = make(i)
            self.seen.append(Seen(kind, why, rows, self.t.keys.values[key]))


@dataclass(frozen=True)
class Transactional(Checker):
    """The base of the checkers of transactions."""

    level: str = param("serializable", help="the isolation level that is promised", choices=tuple(FORBIDS))
    timeout: float = param(60.0, unit="duration", help="how long a verdict is searched for", least=0.001)
    certify: bool = param(False, help="prove the verdict by replaying an order, or by trying every order")

    NAME: ClassVar[str]
    WRITES: ClassVar[str]
    LISTS: ClassVar[bool]

    @abstractmethod
    def analyse(self, t: Transactions) -> Analysis:
        """Dependencies and anomalies; no edges of real time."""

    @abstractmethod
    def complete(self, analysis: Analysis) -> bool:
        """Are the orders of all versions known, so that no cycle means that there is an order?"""

    def check(self, history: History) -> Judgement:
        with paused():
            return self._check(history)

    def _check(self, history: History) -> Judgement:
        deadline = time.monotonic() + self.timeout
        t = transactions(history, self.WRITES, self.LISTS)
        if not (t.outcome == Outcome.OK).any():
            return self._judgement(Verdict.UNKNOWN, "no transaction was answered, so none could be wrong", [])
        analysis = self.analyse(t)
        if analysis.unjudged:
            return self._judgement(Verdict.UNKNOWN, analysis.unjudged, [])
        if self.level == "strict-serializable":
            committed = self.committed(t)
            analysis.graph.real_time(t.start, np.where(committed & (t.outcome == Outcome.OK), t.end, NEVER))
        named = list(cycles(analysis.graph))
        seen = [*analysis.seen, *(self._cycle(analysis, one) for one in named if one.edges)]
        forbidden = [one for one in seen if one.kind in FORBIDS[self.level]]
        allowed = sorted({one.kind for one in seen} - set(FORBIDS[self.level]))
        besides = f"; seen besides: {', '.join(allowed)}" if allowed else ""
        if forbidden:
            return self._violated(history, forbidden, besides)
        if unseen := [one.name for one in named if not one.edges and one.name in FORBIDS[self.level]]:
            why = f"so many cycles that not all of them could be looked at for {', '.join(unseen)}{besides}"
            return self._judgement(Verdict.UNKNOWN, why, [])
        return self._held(history, analysis, besides, deadline)

    @staticmethod
    def committed(t: Transactions) -> Any:
        return t.outcome != Outcome.FAIL

    def _violated(self, history: History, forbidden: list[Seen], besides: str) -> Judgement:
        findings = [self._finding(history, one) for one in forbidden]
        kinds = {
            kind: sum(one.kind == kind for one in forbidden)
            for kind in dict.fromkeys(o.kind for o in forbidden)
        }
        told = ", ".join(f"{kind} ({number} shown)" if number > 1 else kind for kind, number in kinds.items())
        return self._judgement(Verdict.VIOLATED, f"not {self.level}: {told}{besides}", findings)

    def _finding(self, history: History, one: Seen) -> dict[str, Any]:
        ops = history.at(dict.fromkeys(one.rows))
        found: dict[str, Any] = {"kind": one.kind, "why": one.why, "rules_out": rules_out(one.kind)}
        if one.key is not None:
            found["key"] = one.key
        if one.cycle:
            found["cycle"] = one.cycle
        found["operations"] = [shown(op) for op in ops]
        if self.certify:
            found["certified"] = self._confirmed(history, one)
        return found

    def _confirmed(self, history: History, one: Seen) -> str:
        """Brute force on the transactions of the anomaly and on all that wrote what they have read."""
        if self.level not in ATOMIC:
            return f"not by brute force: it tries serial orders, and {self.level} allows more"
        found = self._support(history, one)
        if len(found) > MOST:
            return f"not by brute force: it does {MOST} transactions, this needs {len(found)}"
        if every_order(self._spec(), found) is not None:
            return "not by brute force: the operations shown are not enough to rule out every order"
        return "brute force tried every order"

    def _support(self, history: History, one: Seen) -> list[Step]:
        """The transactions that show it, and those which may have written on the keys that they have read."""
        t = transactions(history, self.WRITES, self.LISTS)
        shown_ = set(one.rows)
        keys = np.unique(t.key[np.isin(t.txn, one.rows) & ~t.write])
        writers = set(t.txn[t.write & np.isin(t.key, keys) & self.committed(t)[t.txn]].tolist())
        rows = sorted(shown_ | writers) if len(writers) <= MOST else sorted(shown_)
        made = steps(self._spec(), history.at(rows))
        return made if self.level == "strict-serializable" else [_timeless(step) for step in made]

    def _spec(self) -> Spec:
        return SPECS.get(self.NAME)()

    def _held(self, history: History, analysis: Analysis, besides: str, deadline: float) -> Judgement:
        number = count(len(history), "transaction")
        if not self.complete(analysis):
            return self._searched(history, number, besides, deadline)
        headline = f"{number}, no anomaly that {self.level} forbids{besides}"
        if self.certify:
            headline += f"; {self._replayed(history, analysis)}"
        return self._judgement(Verdict.HELD, headline, [])

    def _searched(self, history: History, number: str, besides: str, deadline: float) -> Judgement:
        from engine.checkers._search import search

        spec = self._spec()
        found = steps(spec, history.ops)
        found = found if self.level == "strict-serializable" else [_timeless(step) for step in found]
        answer = search(spec, found, deadline)
        if answer.possible:
            if rejected := rejects(spec, found, answer.order or []):
                raise AssertionError(f"the order that was found is none: {rejected}")
            return self._judgement(
                Verdict.HELD, f"{number}, in one order that explains all reads{besides}", []
            )
        if answer.possible is False and self.level in ATOMIC:
            rows = [i for i, op in enumerate(history.ops) if op.outcome is not Outcome.FAIL]
            seen = Seen("no serial order", "every order of these transactions was tried", rows[:MOST])
            return self._judgement(
                Verdict.VIOLATED, f"not {self.level}: no order", [self._finding(history, seen)]
            )
        why = f"no anomaly is seen, and no order of {number} is found that explains all reads{besides}"
        return self._judgement(Verdict.UNKNOWN, why, [])

    def _replayed(self, history: History, analysis: Analysis) -> str:
        """An order of the graph, replayed step by step."""
        order = analysis.graph.order(np.where(analysis.t.end == NEVER, analysis.t.start, analysis.t.end))
        if order is None:
            return "not certified: no serial order is promised"
        spec = self._spec()
        ops = history.ops
        found = steps(spec, ops)
        made = {id(step.op): i for i, step in enumerate(found)}
        found = found if self.level == "strict-serializable" else [_timeless(step) for step in found]
        wanted = self.applied(analysis)
        places = [made[id(ops[row])] for row in order.tolist() if id(ops[row]) in made and wanted[row]]
        rejected = rejects(spec, found, places)
        return f"not certified: {rejected}" if rejected else "certified by the replay of an order"

    def applied(self, analysis: Analysis) -> Any:
        """Which rows have certainly happened."""
        return analysis.t.outcome == Outcome.OK

    def _cycle(self, analysis: Analysis, named: Named) -> Seen:
        told = [self._told(analysis, edge) for edge in named.edges]
        rows = [edge.source for edge in named.edges]
        return Seen(named.name, "; ".join(one["why"] for one in told), rows, cycle=told)

    def _told(self, analysis: Analysis, edge: Edge) -> dict[str, Any]:
        t = analysis.t
        a, b = int(t.index[edge.source]), int(t.index[edge.target])
        key = None if edge.key < 0 else t.keys.values[edge.key]
        does = {
            "ww": f"writes {key!r} before {{b}} does", "wr": f"writes {key!r}, which {{b}} reads",
            "rw": f"reads {key!r} before {{b}} writes it", "real time": "ends before {b} begins",
        }[KINDS[edge.kind]]  # fmt: skip
        found = {"from": a, "to": b, "edge": KINDS[edge.kind], "why": f"T{a} {does.format(b=f'T{b}')}"}
        return found if edge.kind == TIME or key is None else found | {"key": key}

    def _judgement(self, verdict: Verdict, headline: str, findings: list[dict[str, Any]]) -> Judgement:
        measured = count(len(findings), "contradiction") if findings else verdict.word
        return Judgement(
            self.NAME, verdict, headline, f"the transactions are {self.level}", measured, findings
        )


def _timeless(step: Step) -> Step:
    return replace(step, start=0, end=NEVER if step.maybe else 1)
