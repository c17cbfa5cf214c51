import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from engine.checkers import Checker, shown
from engine.checkers._core import Core, core
from engine.checkers._live import Registers
from engine.checkers._needed import in_words, needed
from engine.checkers._order import order
from engine.checkers._registers import Words
from engine.checkers._search import first_failure, search
from engine.checkers._zones import Zones, zones
from engine.checkers.versions import WORDS as VERSIONED
from engine.checkers.versions import Bools, Versioned
from engine.collecting import paused
from engine.columns import Ints
from engine.history import History
from engine.live import Watcher
from engine.parameters import param
from engine.replay import MOST, Step, every_order, rejects, steps
from engine.samples import Outcome
from engine.specs import REGISTRY as SPECS
from engine.specs import Spec, refuse_others
from engine.text import count
from engine.verdict import Judgement, Verdict

NAME = "linearizable"
EXPECTED = "every answer fits a single copy of the data, changed by one operation at a time"
ZONED = {
    "register": Words("read", "write"),
    "cas-register": Words("read", "write", "cas"),
    "kv": Words("get", "put"),
}
MOST_FINDINGS = 16
LEAST_SHRINKING, SHRINKING = 1.0, 5.0  # seconds for making all counterexamples small


@dataclass(frozen=True)
class Linearizable(Checker):
    """Every operation took effect at once, at some moment between its call and its answer."""

    judges: ClassVar[tuple[str, ...]] = ("register", "cas-register", "kv")

    spec: str = param("register", help="what correct behaviour is", choices=tuple(SPECS.names()))
    timeout: float = param(60.0, unit="duration", help="how long a verdict is searched for", least=0.001)
    certify: bool = param(False, help="prove the verdict by replaying an order, or by trying every order")

    def check(self, history: History) -> Judgement:
        deadline = time.monotonic() + self.timeout
        spec = SPECS.get(self.spec, "spec")()
        refuse_others(history.columns, self.spec, spec.names)
        if not (history.columns.outcome == Outcome.OK).any():
            return self._judgement(Verdict.UNKNOWN, "no operation was answered, so none could be wrong", [])
        with paused():
            return _Judging(self, spec, history, deadline).judge()

    def live(self) -> Watcher | None:
        words = ZONED.get(self.spec)
        return Registers(words.read, words.write) if words else None

    def _judgement(self, verdict: Verdict, headline: str, findings: list[dict[str, Any]]) -> Judgement:
        measured = count(len(findings), "contradiction") if findings else verdict.word
        return Judgement(NAME, verdict, headline, EXPECTED, measured, findings)


class _Judging:
    def __init__(self, checker: Linearizable, spec: Spec, history: History, deadline: float) -> None:
        self.checker, self.spec, self.history, self.deadline = checker, spec, history, deadline
        self.c = history.columns
        self.findings: list[dict[str, Any]] = []
        self.undecided: list[Any] = []
        self.violated = 0
        self.proven = 0
        self.small_by: float | None = None

    def judge(self) -> Judgement:
        words = ZONED.get(self.spec.name)
        found = zones(self.c, words) if words else Zones(np.unique(self.c.key))
        for key, rows in found.violated.items():
            self._zone(key, rows)
        self.violated += found.others
        hard = found.hard[~self._by_versions()[found.hard]]
        for key, rows in self._rows_of(hard):
            self._search(key, rows)
        if self.checker.certify and not self.violated:
            self._prove(set(hard.tolist()))
        return self._verdict()

    def _by_versions(self) -> Bools:
        """By key: does the order of the versions that the store told explain its answers already?"""
        words = VERSIONED.get(self.spec.name)
        if words is None or self.c.version is None:
            return np.zeros(len(self.c.keys), bool)
        return Versioned(self.history, *words).held()

    def _rows_of(self, hard: Ints) -> Iterator[tuple[int, Ints]]:
        """The rows of each of these keys; of all keys together where the spec has transactions over them."""
        if not self.spec.keyed:
            yield 0, np.arange(len(self.c))
            return
        if not len(hard):
            return
        chosen = np.flatnonzero(np.isin(self.c.key, hard))
        order = chosen[np.argsort(self.c.key[chosen], kind="stable")]
        parts = np.split(order, np.flatnonzero(np.diff(self.c.key[order])) + 1)
        for rows in parts if len(order) else []:
            yield int(self.c.key[rows[0]]), rows

    def _zone(self, key: int, rows: Ints) -> None:
        found = steps(self.spec, self.history.at(rows))
        self.violated += 1
        self._report(key, core(self.spec, found, None, self._soon()))

    def _search(self, key: int, rows: Ints) -> None:
        found = steps(self.spec, self.history.at(rows))
        answer = search(self.spec, found, self.deadline)
        if answer.possible is None:
            self.undecided.append(self._key(key))
        elif answer.possible is False:
            self.violated += 1
            failed = answer.failed
            if failed is None:
                failed = first_failure(self.spec, found, self._soon())
            self._report(key, core(self.spec, found, failed, self._soon()))
        elif self.checker.certify:
            self._replayed(rejects(self.spec, found, answer.order or []))

    def _soon(self) -> float:
        """When all counterexamples must be as small as they get; the first one has a moment in any case."""
        if self.small_by is None:
            now = time.monotonic()
            self.small_by = min(max(self.deadline, now + LEAST_SHRINKING), now + SHRINKING)
        return self.small_by

    def _report(self, key: int, found: Core) -> None:
        if len(self.findings) >= MOST_FINDINGS:
            return
        finding: dict[str, Any] = {"kind": "not linearizable"}
        if self._key(key) is not None:
            finding["key"] = self._key(key)
        sure = [step for step in found.steps if not step.maybe]
        finding["why"] = _why(found)
        finding["operations"] = [shown(step.op, maybe=step.maybe) for step in found.steps]
        finding["from"], finding["to"] = min(s.start for s in sure), max(s.end for s in sure)
        if lacking := needed(self.spec, found):
            finding["needed"] = in_words(lacking)
        if self.checker.certify:
            finding["certified"] = _confirmed(self.spec, found)
        self.findings.append(finding)

    def _key(self, code: int) -> Any:
        return self.c.keys.values[code] if self.spec.keyed else None

    # The proof

    def _prove(self, done: set[int]) -> None:
        """The keys that zones have judged, by an order of each and its replay."""
        easy = np.array([k for k in np.unique(self.c.key).tolist() if k not in done], np.int64)
        for _, rows in self._rows_of(easy) if self.spec.keyed else ():
            found = steps(self.spec, self.history.at(rows))
            known = order(_plain(found))
            if known is None:
                known = search(self.spec, found, self.deadline).order
            if known is not None:
                self._replayed(rejects(self.spec, found, known))

    def _replayed(self, rejected: str) -> None:
        if rejected:
            raise AssertionError(f"the order that was found is none: {rejected}")
        self.proven += 1

    # The verdict

    def _verdict(self) -> Judgement:
        keys = int(np.count_nonzero(np.bincount(self.c.key))) if self.spec.keyed else 1
        if self.violated:
            where = "" if keys == 1 else f" on {count(self.violated, 'key')} of {keys:,}"
            headline = f"answers{where} that a single copy of the data could not have given"
            return self.checker._judgement(Verdict.VIOLATED, headline, self.findings)
        if self.undecided:
            where = "" if keys == 1 else f" for {count(len(self.undecided), 'key')} of {keys:,}"
            headline = f"undecided{where} after {self.checker.timeout:g} s; a longer timeout may decide it"
            return self.checker._judgement(Verdict.UNKNOWN, headline, [])
        headline = f"one order explains all answers of {count(len(self.c), 'operation')}"
        if self.checker.certify:
            headline += f"; certified by replay for {self.proven:,} of {count(keys, 'key')}"
        if self.checker.certify and self.proven < keys:
            headline += f" within {self.checker.timeout:g} s; a longer timeout may prove it"
            return self.checker._judgement(Verdict.UNKNOWN, headline, [])
        return self.checker._judgement(Verdict.HELD, headline, [])


def _plain(found: list[Step]) -> list[Step]:
    """Of a kv the gets and puts as reads and writes."""
    words = {"get": "read", "put": "write"}
    return [replace(s, call=(words[s.call[0]], *s.call[1:])) if s.call[0] in words else s for s in found]


def _why(found: Core) -> str:
    sure = sum(not step.maybe for step in found.steps)
    these = "this answer" if sure == 1 else f"these {sure} answers"
    start = "" if found.starts is None else ", whatever was there before"
    return f"no order of the operations explains {these}{start}"


def _confirmed(spec: Spec, found: Core) -> str:
    """Brute force on the smallest core; more than it can do is said."""
    if len(found.steps) > MOST:
        return f"not by brute force: it does {MOST} operations, this core has {len(found.steps)}"
    if every_order(spec, found.steps, found.starts) is not None:
        raise AssertionError("brute force finds an order for what was called impossible")
    return "brute force tried every order"
