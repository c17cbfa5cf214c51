import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from engine.checkers import Checker, shown
from engine.checkers._cycles import any_cycle
from engine.checkers._graph import KINDS, RW, WW, Edge
from engine.checkers._interleaving import interleaving
from engine.checkers._program_order import ProgramOrder
from engine.checkers._registers import registers
from engine.checkers._zones import zones
from engine.checkers.linearizable import ZONED
from engine.collecting import paused
from engine.columns import NEVER, Columns, Ints
from engine.history import History
from engine.parameters import param
from engine.replay import MOST, Step, every_interleaving, out_of_line, rejects, steps
from engine.samples import Outcome
from engine.specs import REGISTRY as SPECS
from engine.specs import Spec, refuse_others
from engine.text import count
from engine.verdict import Judgement, Verdict

NAME = "sequential"
KIND = "not sequentially consistent"
EXPECTED = (
    "one order of all operations, in which each process has its own one after the other, explains all answers"
)
MOST_SHOWN = 200  # steps, where no fewer are found
SHRINKING, ATTEMPT = 5.0, 0.5  # seconds for finding few, and for each attempt


@dataclass(frozen=True)
class Sequential(Checker):
    """All processes saw one order of all operations, each its own in the order of their calls; old answers are allowed.

    Over all keys together. With unique values, and no cas that was answered "not equal", by the order in
    which processes met them; else, and where that is not enough, by a search. Undecided in time is unknown.
    """

    judges: ClassVar[tuple[str, ...]] = ()

    spec: str = param("register", help="what correct behaviour is", choices=tuple(SPECS.names()))
    timeout: float = param(60.0, unit="duration", help="how long a verdict is searched for", least=0.001)
    certify: bool = param(False, help="prove the verdict by replaying an order, or by trying every order")

    def check(self, history: History) -> Judgement:
        spec = SPECS.get(self.spec, "spec")()
        refuse_others(history.columns, self.spec, spec.names)
        if not (history.columns.outcome == Outcome.OK).any():
            return _judgement(Verdict.UNKNOWN, "no operation was answered, so none could be wrong", [])
        with paused():
            return _Judging(self, spec, history).judge()


class _Judging:
    def __init__(self, checker: Sequential, spec: Spec, history: History) -> None:
        self.checker, self.spec, self.history = checker, spec, history
        self.deadline = time.monotonic() + checker.timeout
        words = ZONED.get(spec.name)
        self.found = registers(history.columns, words) if words else None
        self.words = words if self.found and not self.found.hard.any() else None

    @cached_property
    def order(self) -> ProgramOrder:
        assert self.found
        return ProgramOrder(self.history.columns, self.found)

    @cached_property
    def steps(self) -> list[Step]:
        return steps(self.spec, self.history.ops)

    def judge(self) -> Judgement:
        c = self.history.columns
        if self.words and not zones(c, self.words).violated and _one_by_one(c):
            return self._held(
                self._known() if self.checker.certify else None, ", and that of the clock is one"
            )
        if self.words:
            if len(self.order.unwritten):
                return self._violated("nobody wrote what it read", self.order.unwritten[:1].tolist())
            if cycle := any_cycle(self.order.graph, c.invoked):
                return self._circular(cycle)
            if (hint := self.order.explains()) is not None:
                return self._held(self._ordered(hint) if self.checker.certify else None)
        return self._searched()

    # Held

    def _held(self, order: list[int] | None, besides: str = "") -> Judgement:
        headline = f"one order explains all answers of {count(len(self.history), 'operation')}{besides}"
        if order is not None:
            _replayed(self.spec, self.steps, order)
            headline += "; certified by the replay of an order"
        elif self.checker.certify:
            headline += f"; not certified within {self.checker.timeout:g} s, a longer timeout may prove it"
            return _judgement(Verdict.UNKNOWN, headline, [])
        return _judgement(Verdict.HELD, headline, [])

    def _known(self) -> list[int] | None:
        """Some order, of what is known to have one."""
        hint = self.order.explains()
        if hint is not None:
            return self._ordered(hint)
        return interleaving(self.spec, self.steps, self.deadline, unique=True).order

    def _ordered(self, hint: Ints) -> list[int] | None:
        """Positions in the steps, by the graph with the order of the writes that explains all."""
        rows = self.order.graph.order(hint)
        if rows is None:
            return None
        ops = self.history.ops
        made = {id(step.op): i for i, step in enumerate(self.steps)}
        return [made[id(ops[row])] for row in rows[self.order.there[rows]].tolist()]

    def _searched(self) -> Judgement:
        answer = interleaving(self.spec, self.steps, self.deadline, bool(self.words))
        if answer.possible is None:
            headline = f"undecided after {self.checker.timeout:g} s; a longer timeout may decide it"
            return _judgement(Verdict.UNKNOWN, headline, [])
        if answer.possible:
            return self._held(answer.order)
        kept = _smaller(self.spec, self.steps, min(self.deadline, time.monotonic() + SHRINKING))
        sure = sum(not step.maybe for step in kept)
        why = f"no order in which each process has its operations one after the other explains {_these(sure)}"
        operations = [shown(step.op, maybe=step.maybe) for step in kept]
        return self._told({"kind": KIND, "why": why, "operations": operations}, kept)

    # Violated

    def _circular(self, cycle: list[Edge]) -> Judgement:
        order, c = self.order, self.history.columns
        met = [_met_by(order, edge) for edge in cycle]
        told = [_told(c, edge, rows) for edge, rows in zip(cycle, met, strict=True)]
        rows = [*(edge.source for edge in cycle), *(row for pair in met for row in pair)]
        return self._violated("; ".join(one["why"] for one in told), rows, told)

    def _violated(self, why: str, rows: list[int], cycle: list[dict[str, Any]] | None = None) -> Judgement:
        ops = sorted(self.history.at(dict.fromkeys(rows)), key=lambda op: (op.process, op.index))
        finding: dict[str, Any] = {"kind": KIND, "why": why}
        if cycle:
            finding["cycle"] = cycle
        finding["operations"] = [shown(op) for op in ops]
        proof = sorted({*rows, *self.order.sources(rows)}) if self.checker.certify else []
        happened = [replace(step, maybe=False) for step in steps(self.spec, self.history.at(proof))]
        return self._told(finding, happened)

    def _told(self, finding: dict[str, Any], core: list[Step]) -> Judgement:
        if self.checker.certify:
            finding["certified"] = _confirmed(self.spec, core)
        headline = "no order of the operations of all processes explains the answers"
        return _judgement(Verdict.VIOLATED, headline, [finding])


def _confirmed(spec: Spec, core: list[Step]) -> str:
    """Brute force on what shows it; more than it can do is said."""
    if len(core) > MOST:
        return f"not by brute force: it does {MOST} operations, this needs {len(core)}"
    if every_interleaving(spec, core):
        raise AssertionError("brute force finds an order for what was called impossible")
    return "brute force tried every order"


def _these(sure: int) -> str:
    return "this answer" if sure == 1 else f"these {sure} answers"


def _one_by_one(c: Columns) -> bool:
    """Had each operation ended before its process began the next? Then an order by the clock is one of processes, too."""
    order = np.argsort(c.process, kind="stable")
    same = c.process[order][1:] == c.process[order][:-1]
    ended = np.where(c.outcome == Outcome.INFO, NEVER, c.completed)[order]
    return bool((ended[:-1] < c.invoked[order][1:])[same].all())


def _met_by(order: ProgramOrder, edge: Edge) -> tuple[int, ...]:
    """Who shows that one write came before the other, if that is what the edge comes from."""
    before = order.read_by(edge.source) if edge.kind == RW else edge.source
    known = order.met_by(before, edge.target) if edge.kind in (WW, RW) and before >= 0 else None
    return known or ()


def _told(c: Columns, edge: Edge, met: Sequence[int]) -> dict[str, Any]:
    a, b, kind = f"T{c.index[edge.source]}", f"T{c.index[edge.target]}", KINDS[edge.kind]
    why = {
        "ww": f"{a} writes before {b} does", "wr": f"{b} reads what {a} wrote",
        "rw": f"{a} reads what was there before {b} wrote",
        "process": f"{a} comes before {b} in process {c.process[edge.source]}",
    }[kind]  # fmt: skip
    if shows := [f"T{c.index[row]}" for row in met if row not in edge[:2]]:
        why += f", as {' and then '.join(shows)} of process {c.process[met[0]]} {'show' if len(shows) > 1 else 'shows'}"
    found = {"from": int(c.index[edge.source]), "to": int(c.index[edge.target]), "edge": kind, "why": why}
    key = None if edge.key < 0 else c.keys.values[edge.key]
    return found if key is None else found | {"key": key}


def _smaller(spec: Spec, made: Sequence[Step], deadline: float) -> list[Step]:
    """Leaves out looks, then weakens changes, first many at once, then fewer, while it stays impossible."""
    sure = {i for i, step in enumerate(made) if not step.maybe}
    for looks in (True, False):
        part = [i for i in sorted(sure) if spec.looks(made[i].call) is looks]
        size = max(1, len(part) // 2)
        while size and time.monotonic() < deadline:
            at = 0
            while at < len(part) and time.monotonic() < deadline:
                tried = sure.difference(part[at : at + size])
                soon = min(deadline, time.monotonic() + ATTEMPT)
                if interleaving(spec, _weakened(spec, made, tried), soon).possible is False:
                    sure = tried
                    del part[at : at + size]
                else:
                    at += size
            size //= 2
    kept = _weakened(spec, made, sure)
    return kept if len(kept) <= MOST_SHOWN else [step for step in kept if not step.maybe][:MOST_SHOWN]


def _weakened(spec: Spec, made: Sequence[Step], sure: set[int]) -> list[Step]:
    """Only those that are `sure` have certainly happened, and others may have where that could help."""
    kept = [
        step if i in sure else replace(step, maybe=True)
        for i, step in enumerate(made)
        if i in sure or not spec.looks(step.call)
    ]
    number = Counter(step.call for step in kept)
    helps = {
        call: spec.helps(call, [other for other in number if other != call or number[other] > 1])
        for call in {step.call for step in kept if step.maybe}
    }
    return [step for step in kept if not step.maybe or helps[step.call]]


def _replayed(spec: Spec, made: Sequence[Step], order: Sequence[int]) -> None:
    """Object by object, for an order of all is one of each. Raises AssertionError where it is none."""
    if why := out_of_line(made, order):
        raise AssertionError(f"the order that was found is none: {why}")
    mine: dict[Any, list[int]] = {}
    for i, step in enumerate(made):
        mine.setdefault(step.op.key if spec.keyed else None, []).append(i)
    place = {i: n for positions in mine.values() for n, i in enumerate(positions)}
    ordered: dict[Any, list[int]] = {key: [] for key in mine}
    for i in order:
        ordered[made[i].op.key if spec.keyed else None].append(place[i])
    for key, positions in mine.items():
        timeless = [replace(made[i], start=0, end=NEVER if made[i].maybe else 1) for i in positions]
        if why := rejects(spec, timeless, ordered[key]):
            raise AssertionError(f"the order that was found is none: {why}")


def _judgement(verdict: Verdict, headline: str, findings: list[dict[str, Any]]) -> Judgement:
    measured = f"{len(findings)} found" if findings else verdict.word
    return Judgement(NAME, verdict, headline, EXPECTED, measured, findings)
