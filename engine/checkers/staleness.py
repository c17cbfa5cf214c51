"""How old is what was read? In time, and in versions: at least so much, and never more than is certain."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from engine import text
from engine.checkers import Checker, shown
from engine.columns import NEVER, NONE, Columns, Ints
from engine.history import History
from engine.parameters import param
from engine.samples import Outcome
from engine.specs import REGISTRY as SPECS
from engine.specs import refuse_others
from engine.verdict import Judgement, Verdict

NAME = "staleness"
WORDS = {"register": ("read", "write"), "cas-register": ("read", "write"), "kv": ("get", "put")}
MOST_FINDINGS = 100
NS = 1_000_000_000
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Staleness(Checker):
    """No read is older than the bound: in time since a newer value was acknowledged, and in newer values."""

    judges: ClassVar[tuple[str, ...]] = ()

    spec: str = param("register", help="what the operations are", choices=tuple(WORDS))
    within: float | None = param(None, unit="duration", help="how old a read may be; if absent, any age")
    versions: int | None = param(
        None, help="how many newer values may be acknowledged; if absent, any", least=0
    )

    def check(self, history: History) -> Judgement:
        refuse_others(history.columns, self.spec, SPECS.get(self.spec).names)
        ages = ages_of(history, self.spec)
        if ages is None or not len(ages.rows):
            why = "nothing was read" if ages else "a value is written twice, so nobody knows which was read"
            return Judgement(NAME, Verdict.UNKNOWN, why, self._expected(), "unknown")
        wrong = np.zeros(len(ages.rows), bool)
        if self.within is not None:
            wrong |= ages.age > self.within * NS
        if self.versions is not None:
            wrong |= ages.behind > self.versions
        verdict = Verdict.VIOLATED if wrong.any() else Verdict.HELD
        chosen = np.flatnonzero(wrong)
        worst = chosen[np.argsort(-ages.age[chosen], kind="stable")][:MOST_FINDINGS]
        findings = [_finding(history, ages, int(i)) for i in worst]
        return Judgement(
            NAME,
            verdict,
            _headline(history, ages, int(wrong.sum())),
            self._expected(),
            _measured(ages),
            findings,
        )

    def _expected(self) -> str:
        bounds = [] if self.within is None else [f"at most {text.seconds(self.within)} old"]
        bounds += [] if self.versions is None else [f"at most {text.count(self.versions, 'version')} behind"]
        return f"every read is {' and '.join(bounds) or 'of any age: it is measured only'}"


@dataclass(frozen=True)
class Ages:
    """Of the reads whose value is known: how long before it began a newer value had been acknowledged, in ns
    (0 where none had), at least how many, and the row of the first of those."""

    rows: Ints
    age: Ints
    behind: Ints
    newer: Ints  # -1 where there is none


def ages_of(history: History, spec: str) -> Ages | None:
    """None where the order of the values is not known: one is written twice, and no versions are told.

    A value is newer for certain if its version is higher, or without versions if its write began after
    the write of the other had ended.
    """
    c = history.columns
    read, write = (c.named(name) for name in WORDS[spec])
    reads = np.flatnonzero(read & (c.outcome == Outcome.OK))
    writes = np.flatnonzero((write | c.named("cas")) & (c.outcome == Outcome.OK))
    if c.version is not None and (c.version[np.concatenate([reads, writes])] >= 0).all():
        return _ages(c, reads, writes, c.version[reads], c.version[writes])
    every = np.flatnonzero((write | c.named("cas")) & (c.outcome != Outcome.FAIL))
    if len(np.unique(c.key[every] * len(c.values) + _new(c, every))) < len(every):
        return None
    return _timed(c, reads, writes, every)


def _new(c: Columns, rows: Ints) -> Ints:
    """The code of what each wrote."""
    found = c.value[rows].copy()
    for i in np.flatnonzero(c.named("cas")[rows]).tolist():
        found[i] = c.values.code(c.values.values[found[i]][1])
    return found


def _timed(c: Columns, reads: Ints, writes: Ints, every: Ints) -> Ages:
    """Without versions: what was read ends at the end of its write, and others are newer by their starts."""
    new = _new(c, every)
    packed = c.key[every] * len(c.values) + new
    order = np.argsort(packed)
    wanted = c.key[reads] * len(c.values) + c.result[reads]
    at = np.minimum(np.searchsorted(packed[order], wanted), max(len(packed) - 1, 0))
    known = packed[order][at] == wanted if len(packed) else np.zeros(len(reads), bool)
    ended = np.full(len(reads), -1, np.int64)
    if len(packed):
        writer = every[order[at]]
        ended = np.where(known & (c.outcome[writer] == Outcome.OK), c.completed[writer], NEVER)
    ended[c.result[reads] == NONE] = -1  # what was there at first is older than any write
    chosen = known | (c.result[reads] == NONE)
    return _ages(c, reads[chosen], writes, ended[chosen], c.invoked[writes])


def _ages(c: Columns, reads: Ints, writes: Ints, mark: Ints, rank: Ints) -> Ages:
    """A write is newer than what a read read if its rank is higher than the read's mark."""
    age, behind = np.zeros(len(reads), np.int64), np.zeros(len(reads), np.int64)
    newer = np.full(len(reads), -1, np.int64)
    by_read, by_write = np.argsort(c.key[reads], kind="stable"), np.argsort(c.key[writes], kind="stable")
    keys = np.unique(c.key[reads])
    first_read, first_write = (
        np.searchsorted(c.key[one][order], keys) for one, order in ((reads, by_read), (writes, by_write))
    )
    last_read, last_write = (
        np.searchsorted(c.key[one][order], keys, side="right")
        for one, order in ((reads, by_read), (writes, by_write))
    )
    for a, b, x, y in zip(first_read, last_read, first_write, last_write, strict=True):
        if x < y:
            mine, theirs = by_read[a:b], by_write[x:y]
            _of_key(c, reads, writes, mine, theirs, mark, rank, (age, behind, newer))
    return Ages(reads, age, behind, newer)


def _of_key(
    c: Columns, reads: Ints, writes: Ints, mine: Ints, theirs: Ints, mark: Ints, rank: Ints,
    into: tuple[Ints, Ints, Ints],
) -> None:  # fmt: skip
    age, behind, newer = into
    ranked = theirs[np.argsort(rank[theirs], kind="stable")]
    ends = c.completed[writes[ranked]]
    soonest = np.minimum.accumulate(ends[::-1])[::-1]  # of all that are at least as new, the first to end
    place = np.searchsorted(rank[ranked], mark[mine], side="right")
    there = place < len(ranked)
    until = np.where(there, soonest[np.minimum(place, len(ranked) - 1)], NEVER)
    begun = c.invoked[reads[mine]]
    stale = until < begun
    age[mine[stale]] = begun[stale] - until[stale]
    done = np.searchsorted(
        np.sort(ends), begun, side="left"
    )  # all that had ended; not more than `place` are older
    behind[mine[stale]] = np.maximum(done[stale] - place[stale], 1)
    by_end = np.argsort(ends, kind="stable")
    first = np.searchsorted(ends[by_end], until[stale], side="left")
    newer[mine[stale]] = writes[ranked[by_end[first]]]


def _finding(history: History, ages: Ages, i: int) -> dict[str, Any]:
    row, newer = int(ages.rows[i]), int(ages.newer[i])
    read, write = history.at([row, newer])
    key = {} if read.key is None else {"key": read.key}
    node = {"node": read.node} if read.node else {}
    behind = text.count(int(ages.behind[i]), "newer value")
    why = (
        f"{behind} had been acknowledged, the first of them {text.seconds(ages.age[i] / NS)} before it began"
    )
    more = {"stale_for": ages.age[i] / NS, "behind": int(ages.behind[i])}
    return {
        "kind": "stale read",
        **key,
        **node,
        **more,
        "why": why,
        "operations": [shown(write), shown(read)],
    }


def _measured(ages: Ages) -> str:
    if not ages.age.any():
        return "none was stale"
    return (
        f"{text.seconds(int(ages.age.max()) / NS)}, {text.count(int(ages.behind.max()), 'version')} at most"
    )


def _headline(history: History, ages: Ages, wrong: int) -> str:
    stale = int((ages.age > 0).sum())
    told = f"{stale:,} of {text.count(len(ages.rows), 'read')} {'was' if stale == 1 else 'were'} stale"
    if stale:
        told += f", by {text.seconds(int(ages.age.max()) / NS)} and {text.count(int(ages.behind.max()), 'version')} at most"
    told += f"; {wrong:,} more than is allowed" if wrong else ""
    return told + _by_node(history.columns, ages)


def _by_node(c: Columns, ages: Ages) -> str:
    """The share of each node, the worst first."""
    if c.node is None or not ages.age.any():
        return ""
    node = c.node[ages.rows]
    worst = {int(code): int(ages.age[node == code].max()) for code in np.unique(node[ages.age > 0])}
    ranked = sorted(worst.items(), key=lambda item: -item[1])
    parts = [f"{c.nodes.values[code] or 'unnamed'} {text.seconds(age / NS)}" for code, age in ranked[:5]]
    return f" ({', '.join(parts)})"
