import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from engine.checkers import Checker, shown
from engine.checkers._live_counts import Values
from engine.checkers._search import search
from engine.columns import NEVER, NONE, Columns, Ints
from engine.history import History
from engine.live import Watcher
from engine.parameters import param
from engine.replay import MOST, every_order, rejects, steps
from engine.samples import Outcome
from engine.specs import REGISTRY as SPECS
from engine.specs import refuse_others
from engine.text import count
from engine.verdict import Judgement, Verdict

NAME = "queue"
EXPECTED = "values come out once, in the order in which they went in, and none is lost"
MOST_FINDINGS = 100
SMALL = 200  # operations that a search is tried on where the sweep cannot tell
WHYS = {
    "unexpected": "it came out, and {0}",
    "duplicated": "it came out twice",
    "out of order": "it came out before the other, which went in first and {0}",
    "not empty": "the queue was called empty, and was never so at that time",
}


@dataclass(frozen=True)
class Queue(Checker):
    """First in, first out: nothing is lost, comes twice, comes out of order, and empty is said only of an empty queue."""

    judges: ClassVar[tuple[str, ...]] = ("queue",)

    timeout: float = param(60.0, unit="duration", help="how long a verdict is searched for", least=0.001)
    certify: bool = param(False, help="prove the verdict by replaying an order, or by trying every order")

    def check(self, history: History) -> Judgement:
        c = history.columns
        if not (c.outcome == Outcome.OK).any():
            return self._judgement(Verdict.UNKNOWN, "no operation was answered, so none could be wrong", [])
        findings: list[dict[str, Any]] = []
        unsure: list[Any] = []
        for key, rows in _by_key(c):
            one = _Sweep(history, rows)
            verdict, found = one.judge(time.monotonic() + self.timeout)
            where = {} if key is None else {"key": key}
            findings += [where | finding for finding in found]
            if verdict is Verdict.UNKNOWN:
                unsure.append(one.why)
        if findings:
            shown_ = [self._certified(history, finding) for finding in findings[:MOST_FINDINGS]]
            return self._judgement(Verdict.VIOLATED, _headline(findings), shown_)
        if unsure:
            return self._judgement(Verdict.UNKNOWN, unsure[0], [])
        proof = self._replayed(history) if self.certify else ""
        headline = f"{count(len(c), 'operation')} in the order of one queue{proof}"
        return self._judgement(Verdict.HELD, headline, [])

    def _certified(self, history: History, finding: dict[str, Any]) -> dict[str, Any]:
        rows = finding.pop("rows")
        ops = history.at(rows)
        finding["operations"] = [shown(op) for op in ops]
        if self.certify:
            spec = SPECS.get(NAME)()
            found = steps(spec, ops)
            if finding["kind"] == "duplicated" or len(found) > MOST:
                finding["certified"] = "not by brute force: a part of the history is not enough"
            elif every_order(spec, found) is None:
                finding["certified"] = "brute force tried every order"
        return finding

    def _replayed(self, history: History) -> str:
        spec, deadline, certified = SPECS.get(NAME)(), time.monotonic() + self.timeout, 0
        keys = list(_by_key(history.columns))
        for _, rows in keys:
            found = steps(spec, history.at(rows))
            answer = search(spec, found, deadline)
            certified += bool(answer.possible) and not rejects(spec, found, answer.order or [])
        return f"; certified by replay for {certified:,} of {count(len(keys), 'queue')}"

    def _judgement(self, verdict: Verdict, headline: str, findings: list[dict[str, Any]]) -> Judgement:
        measured = count(len(findings), "contradiction") if findings else verdict.word
        return Judgement(NAME, verdict, headline, EXPECTED, measured, findings)

    def live(self) -> Watcher | None:
        return Values()


def _by_key(c: Columns) -> Iterator[tuple[Any, Ints]]:
    order = np.argsort(c.key, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(c.key[order])) + 1):
        yield c.keys.values[c.key[rows[0]]], rows


def _headline(findings: list[dict[str, Any]]) -> str:
    kinds = [finding["kind"] for finding in findings]
    return ", ".join(f"{count(kinds.count(kind), 'time')} {kind}" for kind in dict.fromkeys(kinds))


class _Sweep:
    """One queue. Times are doubled, ends made odd: what ends when another starts is concurrent with it.

    With unique values a queue is right if and only if: what comes out went in before, and once; no value
    overtakes one that certainly went in first and certainly came out later; and each "empty" had a moment
    at which no value was certainly inside.
    """

    def __init__(self, history: History, rows: Ints) -> None:
        self.history, self.rows, self.why = history, rows, ""
        c = history.columns
        self.c = c
        refuse_others(c, NAME, SPECS.get(NAME).names)
        ok = c.outcome[rows] == Outcome.OK
        enqueue, dequeue, drain = (c.named(name)[rows] for name in ("enqueue", "dequeue", "drain"))
        self.start = 2 * (c.invoked[rows] - c.invoked[rows].min())
        ended = np.where(
            ok & (c.completed[rows] != NEVER), c.completed[rows] - c.invoked[rows].min(), NEVER // 4
        )
        self.end = 2 * ended + 1
        self.into = np.flatnonzero(enqueue & (c.outcome[rows] != Outcome.FAIL))
        self.failed = c.value[rows[np.flatnonzero(enqueue & (c.outcome[rows] == Outcome.FAIL))]]
        self.pending = np.flatnonzero((dequeue | drain) & (c.outcome[rows] == Outcome.INFO))
        self.out = np.flatnonzero(dequeue & ok)
        self.value = c.result[rows[self.out]]
        self._drains(np.flatnonzero(drain & ok))
        self.empty = self.out[self.value == NONE]
        self.out, self.value = self.out[self.value != NONE], self.value[self.value != NONE]

    def _drains(self, drains: Ints) -> None:
        spec = SPECS.get(NAME)()
        for at in drains.tolist():
            (op,) = self.history.at([self.rows[at]])
            codes = [self.c.values.code(part.result) for part in spec.parts(op)]
            self.out = np.concatenate([self.out, np.full(len(codes), at)])
            self.value = np.concatenate([self.value, np.array(codes, np.int64)])

    def judge(self, deadline: float) -> tuple[Verdict, list[dict[str, Any]]]:
        written = self.c.value[self.rows[self.into]]
        if (written == NONE).any() or np.isin(
            np.concatenate([written, self.value]), self.c.values.opaque
        ).any():
            return self._search(deadline, "values that are null, lists or objects cannot be told apart")
        if len(np.unique(written)) < len(written):
            return self._search(
                deadline, "a value is enqueued more than once; the checker needs unique values"
            )
        entered = np.full(len(self.c.values), -1, np.int64)
        entered[written] = np.arange(len(self.into))
        found = [*self._unexpected(entered), *self._duplicated()]
        if found:
            return Verdict.VIOLATED, found
        return self._order(entered, deadline)

    def _unexpected(self, entered: Ints) -> Iterator[dict[str, Any]]:
        source = entered[self.value]
        for i in np.flatnonzero(source < 0).tolist():
            why = "its enqueue certainly failed" if self.value[i] in self.failed else "nobody has enqueued it"
            yield self._finding("unexpected", [self.out[i]], why, int(self.value[i]))
        good = np.flatnonzero(source >= 0)
        early = good[self.end[self.out[good]] < self.start[self.into[source[good]]]]
        for i in early.tolist():
            rows = [self.out[i], self.into[source[i]]]
            yield self._finding("unexpected", rows, "its enqueue began only later", int(self.value[i]))

    def _duplicated(self) -> Iterator[dict[str, Any]]:
        order = np.argsort(self.value, kind="stable")
        for i in np.flatnonzero(np.diff(self.value[order]) == 0).tolist():
            value = int(self.value[order[i]])
            yield self._finding("duplicated", [self.out[order[i]], self.out[order[i + 1]]], "", value)

    def _order(self, entered: Ints, deadline: float) -> tuple[Verdict, list[dict[str, Any]]]:
        into = self.into
        left_at, left_by = np.full(len(into), NEVER // 2, np.int64), np.full(len(into), -1, np.int64)
        source = entered[self.value]
        left_at[source], left_by[source] = self.start[self.out], self.out
        sure = (left_by >= 0) | (self.c.outcome[self.rows[into]] == Outcome.OK)
        in_end = np.where(sure, self.end[into], NEVER // 2)
        order = np.argsort(in_end, kind="stable")
        ends, leaves = in_end[order], left_at[order]
        most = np.maximum.accumulate(leaves)
        before = np.searchsorted(ends, self.start[into[source]]) - 1
        late = np.flatnonzero((before >= 0) & (most[np.maximum(before, 0)] > self.end[self.out]))
        found = []
        for i in late[:MOST_FINDINGS].tolist():
            other = int(order[np.argmax(leaves[: before[i] + 1])])
            why = "never did" if left_by[other] < 0 else "came out later"
            rows = [into[other], into[source[i]], self.out[i]]
            if left_by[other] >= 0:
                rows.append(left_by[other])
            found.append((left_by[other] < 0, self._finding("out of order", rows, why, int(self.value[i]))))
        found += self._empties(ends, leaves, order, left_by)
        if len(self.pending) and found and all(by_loss for by_loss, _ in found):
            return self._search(deadline, "a dequeue without an answer may have taken what is missing")
        return (Verdict.VIOLATED if found else Verdict.HELD), [finding for _, finding in found]

    def _empties(
        self, ends: Ints, leaves: Ints, order: Ints, left_by: Ints
    ) -> list[tuple[bool, dict[str, Any]]]:
        """An "empty" that lies within times in which some value was certainly inside."""
        inside = leaves > ends
        begins, until, who = ends[inside], leaves[inside], order[inside]
        if not len(self.empty) or not len(begins):
            return []
        latest = np.maximum.accumulate(until)
        fresh = np.ones(len(begins), bool)
        fresh[1:] = begins[1:] > latest[:-1]
        heads = np.flatnonzero(fresh)
        last = np.append(heads[1:], len(begins)) - 1
        block = np.searchsorted(begins[heads], self.start[self.empty]) - 1
        held = (block >= 0) & (latest[last[np.maximum(block, 0)]] > self.end[self.empty])
        found = []
        for i in np.flatnonzero(held)[:MOST_FINDINGS].tolist():
            at = self.empty[i]
            near = [
                int(w)
                for b, u, w in zip(begins, until, who, strict=True)
                if b < self.end[at] and u > self.start[at]
            ]
            rows = [at, *(self.into[w] for w in near), *(left_by[w] for w in near if left_by[w] >= 0)]
            found.append((any(left_by[w] < 0 for w in near), self._finding("not empty", rows, "", None)))
        return found

    def _search(self, deadline: float, why: str) -> tuple[Verdict, list[dict[str, Any]]]:
        """By going through the orders, where that is little enough."""
        self.why = why
        if len(self.rows) > SMALL:
            return Verdict.UNKNOWN, []
        spec = SPECS.get(NAME)()
        answer = search(spec, steps(spec, self.history.at(self.rows)), deadline)
        if answer.possible is None:
            return Verdict.UNKNOWN, []
        if answer.possible:
            return Verdict.HELD, []
        everything = list(range(len(self.rows)))
        return Verdict.VIOLATED, [self._finding("out of order", everything, "no order explains it", None)]

    def _finding(self, kind: str, places: Any, why: str, value: int | None) -> dict[str, Any]:
        found: dict[str, Any] = {"kind": kind}
        if value is not None:
            found["value"] = self.c.values.values[value]
        found["why"] = why if why == "no order explains it" else WHYS[kind].format(why)
        return found | {"rows": [int(self.rows[place]) for place in dict.fromkeys(map(int, places))]}
