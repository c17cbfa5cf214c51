import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from engine.checkers import Checker, shown
from engine.checkers._core import matters
from engine.checkers._cycles import any_cycle
from engine.checkers._graph import KINDS, RW, WW, Edge
from engine.checkers._interleaving import interleaving
from engine.checkers._program_order import ProgramOrder
from engine.checkers._registers import registers
from engine.checkers._zones import zones
from engine.checkers.linearizable import ZONED
from engine.columns import NEVER, Columns, Ints
from engine.history import History
from engine.parameters import param
from engine.replay import Step, rejects, steps
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
MOST_SHRUNK = 60  # steps that are left out one by one
SHRINKING = 5.0  # seconds for it


@dataclass(frozen=True)
class Sequential(Checker):
    """All processes saw one order of all operations, each its own in the order of their calls; old answers are allowed.

    Over all keys together. With unique values, and no cas that was answered "not equal", by the order in
    which processes met them; else, and where that is not enough, by a search. Undecided in time is unknown.
    """

    judges: ClassVar[tuple[str, ...]] = ()

    spec: str = param("register", help="what correct behaviour is", choices=tuple(SPECS.names()))
    timeout: float = param(60.0, unit="duration", help="how long a verdict is searched for", least=0.001)

    def check(self, history: History) -> Judgement:
        deadline = time.monotonic() + self.timeout
        c, spec = history.columns, SPECS.get(self.spec, "spec")()
        refuse_others(c, self.spec, spec.names)
        if not (c.outcome == Outcome.OK).any():
            return _judgement(Verdict.UNKNOWN, "no operation was answered, so none could be wrong", [])
        unique = False
        if words := ZONED.get(self.spec):
            found = registers(c, words)
            unique = not found.hard.any()
            if unique:
                by_clock = zones(c, words)
                if not by_clock.violated and _one_by_one(c):
                    return self._held(history, ", and that of the clock is one")
                if told := self._by_order(history, ProgramOrder(c, found)):
                    return told
        return self._searched(history, spec, unique, deadline)

    def _held(self, history: History, besides: str = "") -> Judgement:
        headline = f"one order explains all answers of {count(len(history), 'operation')}{besides}"
        return _judgement(Verdict.HELD, headline, [])

    def _by_order(self, history: History, order: ProgramOrder) -> Judgement | None:
        if len(order.unwritten):
            ops = history.at(order.unwritten[:1])
            why = "nobody wrote what it read"
            return _violated({"kind": KIND, "why": why, "operations": [shown(op) for op in ops]})
        if cycle := any_cycle(order.graph, history.columns.invoked):
            return _violated(_of_cycle(history, order, cycle))
        if any(order.ordered(hint) for hint in order.guesses()):
            return self._held(history)
        place = _places(order)
        return self._held(history) if place is not None and order.ordered(place) else None

    def _searched(self, history: History, spec: Spec, unique: bool, deadline: float) -> Judgement:
        made = steps(spec, history.ops)
        answer = interleaving(spec, made, deadline, unique)
        if answer.possible is None:
            headline = f"undecided after {self.timeout:g} s; a longer timeout may decide it"
            return _judgement(Verdict.UNKNOWN, headline, [])
        if answer.possible:
            _replayed(spec, made, answer.order or [])
            return self._held(history)
        kept = _smaller(spec, made, min(deadline, time.monotonic() + SHRINKING))
        sure = sum(not step.maybe for step in kept)
        why = f"no order in which each process has its operations one after the other explains {_these(sure)}"
        return _violated(
            {"kind": KIND, "why": why, "operations": [shown(step.op, maybe=step.maybe) for step in kept]}
        )


def _these(sure: int) -> str:
    return "this answer" if sure == 1 else f"these {sure} answers"


def _one_by_one(c: Columns) -> bool:
    """Had each operation ended before its process began the next? Then an order by the clock is one of processes, too."""
    order = np.argsort(c.process, kind="stable")
    same = c.process[order][1:] == c.process[order][:-1]
    ended = np.where(c.outcome == Outcome.INFO, NEVER, c.completed)[order]
    return bool((ended[:-1] < c.invoked[order][1:])[same].all())


def _places(order: ProgramOrder) -> Ints | None:
    """Of each row its place in an order that what is known allows."""
    found = order.graph.order(order.guesses()[0])
    if found is None:
        return None
    place = np.zeros(len(order.c), np.int64)
    place[found] = np.arange(len(found))
    return place


def _of_cycle(history: History, order: ProgramOrder, cycle: list[Edge]) -> dict[str, Any]:
    met = [_met_by(order, edge) for edge in cycle]
    told = [_told(history.columns, edge, rows) for edge, rows in zip(cycle, met, strict=True)]
    rows = dict.fromkeys([*(edge.source for edge in cycle), *(row for pair in met for row in pair)])
    ops = sorted(history.at(rows), key=lambda op: (op.process, op.index))
    return {
        "kind": KIND, "why": "; ".join(one["why"] for one in told), "cycle": told,
        "operations": [shown(op) for op in ops],
    }  # fmt: skip


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
    """Leaves out looks and weakens changes, one after the other, while it stays impossible."""
    kept = list(made)
    for step in sorted(made, key=lambda step: (not spec.looks(step.call), step.end))[:MOST_SHRUNK]:
        tried = [replace(s, maybe=True) if s is step else s for s in kept]
        tried = [s for s in tried if not (s.maybe and spec.looks(s.call))]
        if not step.maybe and interleaving(spec, tried, deadline).possible is False:
            kept = tried
    return [s for s in kept if matters(spec, s, kept)]


def _replayed(spec: Spec, made: Sequence[Step], order: Sequence[int]) -> None:
    """Object by object, for an order of all is one of each."""
    timeless = [replace(step, start=0, end=NEVER if step.maybe else 1) for step in made]
    for key in {step.op.key for step in made} if spec.keyed else {None}:
        mine = [i for i, step in enumerate(made) if not spec.keyed or step.op.key == key]
        number = {i: n for n, i in enumerate(mine)}
        if why := rejects(spec, [timeless[i] for i in mine], [number[i] for i in order if i in number]):
            raise AssertionError(f"the order that was found is none: {why}")


def _violated(finding: dict[str, Any]) -> Judgement:
    headline = "no order of the operations of all processes explains the answers"
    return _judgement(Verdict.VIOLATED, headline, [finding])


def _judgement(verdict: Verdict, headline: str, findings: list[dict[str, Any]]) -> Judgement:
    measured = f"{len(findings)} found" if findings else verdict.word
    return Judgement(NAME, verdict, headline, EXPECTED, measured, findings)
