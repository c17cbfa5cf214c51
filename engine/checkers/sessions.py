from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from engine.checkers import Checker, shown
from engine.checkers._live_counts import Sessions as Seen
from engine.columns import NEVER, NONE, Columns, Ints
from engine.history import History
from engine.live import Watcher
from engine.parameters import param
from engine.samples import Outcome
from engine.specs import refuse_others
from engine.text import count
from engine.verdict import Judgement, Verdict

NAME = "sessions"
EXPECTED = "no client ever reads an older value than its own session has led to"
WORDS = {"register": ("read", "write"), "cas-register": ("read", "write"), "kv": ("get", "put")}
MOST_FINDINGS = 16  # of a kind
WHYS = {
    "read your writes": "the client had itself written a newer value",
    "monotonic reads": "the client had read a newer value before",
    "monotonic writes": "the client had read what the same writer wrote later",
    "writes follow reads": "the client had read what was written by one who had read a newer value",
}
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Sessions(Checker):
    """Per client and key: read your writes, monotonic reads, monotonic writes, writes follow reads.

    A value is older than another for certain only where its write had ended before the other's began.
    """

    judges: ClassVar[tuple[str, ...]] = ()

    spec: str = param("register", help="what the operations are", choices=tuple(WORDS))

    def check(self, history: History) -> Judgement:
        c = history.columns
        read, write = (c.named(name) for name in WORDS[self.spec])
        refuse_others(c, NAME, (*WORDS[self.spec], "cas"))
        ok = c.outcome == Outcome.OK
        if not (read & ok).any():
            return Judgement(NAME, Verdict.UNKNOWN, "nothing was read", EXPECTED, "unknown")
        writes = np.flatnonzero((write | c.named("cas")) & (c.outcome != Outcome.FAIL))
        values = _written(c, writes, write)
        pairs = c.key[writes] * len(c.values) + values
        order = np.argsort(pairs, kind="stable")
        if (
            (np.diff(pairs[order]) == 0).any()
            or (values == NONE).any()
            or np.isin(values, c.values.opaque).any()
        ):
            why = "a value is written more than once, or is null or a list; the checker needs unique values"
            return Judgement(NAME, Verdict.UNKNOWN, why, EXPECTED, "unknown")
        one = _Sessions(history, np.flatnonzero(read & ok), writes, pairs[order], order)
        findings = [finding for kind, rows in one.broken().items() for finding in one.shown(kind, rows)]
        if findings:
            kinds = [finding["kind"] for finding in findings]
            headline = ", ".join(f"{kinds.count(kind)} against {kind}" for kind in dict.fromkeys(kinds))
            return Judgement(
                NAME, Verdict.VIOLATED, headline, EXPECTED, count(len(findings), "contradiction"), findings
            )
        sessions = count(len(np.unique(c.process)), "session")
        return Judgement(
            NAME, Verdict.HELD, f"{sessions}, none of which went back in time", EXPECTED, "0 contradictions"
        )

    def live(self) -> Watcher | None:
        return Seen(*WORDS[self.spec])


def _written(c: Columns, rows: Ints, write: Bools) -> Ints:
    found = c.value[rows].copy()
    for i in np.flatnonzero(~write[rows]).tolist():
        value = c.values.values[found[i]]
        found[i] = c.values.code(value[1]) if isinstance(value, list | tuple) and len(value) == 2 else NONE
    return found


class _Sessions:
    """Times are ranks. A version is a write; the last one, of time -1, is what was there at first."""

    def __init__(self, history: History, reads: Ints, writes: Ints, pairs: Ints, order: Ints) -> None:
        self.history, self.c = history, history.columns
        c = self.c
        self.writes = writes
        ended = np.where((c.outcome == Outcome.OK) & (c.completed != NEVER), c.completed, NEVER)
        ranks = np.unique(np.concatenate([c.invoked, ended]), return_inverse=True)[1].ravel() + 1
        self.span = int(ranks.max()) + 3
        self.began = np.append(ranks[: len(c)][writes], 0)
        self.done = np.append(ranks[len(c) :][writes], 0)
        version = np.full(len(reads), -2, np.int64)
        if len(pairs):
            wanted = c.key[reads] * len(c.values) + c.result[reads]
            at = np.minimum(np.searchsorted(pairs, wanted), len(pairs) - 1)
            version = np.where(pairs[at] == wanted, order[at], -2)
        version[c.result[reads] == NONE] = len(writes)
        self.reads, self.version = reads[version >= 0], version[version >= 0]

    def broken(self) -> dict[str, list[tuple[int, int, int]]]:
        """By kind: the row that is wrong, what it read, and the version that it should have known of."""
        c, writes, count_ = self.c, self.writes, len(self.writes)
        acknowledged = np.flatnonzero(c.outcome[writes] == Outcome.OK)
        row = np.concatenate([self.reads, writes[acknowledged]])
        version = np.concatenate([self.version, acknowledged])
        is_read = np.arange(len(row)) < len(self.reads)
        writer = np.append(c.process[writes], -1)
        order = np.lexsort((row, c.key[row], c.process[row]))
        row, version, is_read = row[order], version[order], is_read[order]
        session = _groups(c.process[row], c.key[row])
        age, done = self.began[version], self.done[version]
        mine = self._highest(session, np.where(is_read, 0, age))
        seen = self._highest(session, np.where(is_read, age, 0))
        base = np.zeros(count_ + 1, np.int64)  # of each write: the newest that its writer had read before it
        base[version[~is_read]] = seen[~is_read]
        follow = self._highest(session, np.where(is_read, base[version], 0))
        found = {
            "read your writes": self._rows(row, version, is_read & (done < mine), mine),
            "monotonic reads": self._rows(row, version, is_read & (done < seen), seen),
            "writes follow reads": self._rows(row, version, is_read & (done < follow), follow),
        }
        by = np.lexsort((np.arange(len(row)), writer[version], session))
        again = self._highest(_groups(session[by], writer[version][by]), np.where(is_read[by], age[by], 0))
        wrong = is_read[by] & (done[by] < again) & (version[by] < count_)
        found["monotonic writes"] = self._rows(row[by], version[by], wrong, again)
        return found

    def _highest(self, group: Ints, value: Ints) -> Ints:
        """Of each the highest value before it in its group; groups stand together."""
        packed = np.maximum.accumulate(group * self.span + value) - group * self.span
        before = np.zeros(len(value), np.int64)
        same = group[1:] == group[:-1]
        before[1:][same] = packed[:-1][same]
        return before

    def _rows(self, row: Ints, version: Ints, wrong: Bools, newer: Ints) -> list[tuple[int, int, int]]:
        """The newer version is found again by when it began."""
        at = np.flatnonzero(wrong)[:MOST_FINDINGS]
        found = []
        for i in at.tolist():
            same = np.flatnonzero(
                (self.began[:-1] == newer[i]) & (self.c.key[self.writes] == self.c.key[row[i]])
            )
            found.append((int(row[i]), int(version[i]), int(same[0])))
        return found

    def shown(self, kind: str, broken: list[tuple[int, int, int]]) -> list[dict[str, Any]]:
        found = []
        for row, version, newer in broken:
            rows = [int(self.writes[newer]), row]
            if version < len(self.writes):
                rows.insert(0, int(self.writes[version]))
            between = self._known_by(row, newer)
            ops = self.history.at(sorted({*rows, *between}))
            last = self.history.at([row])[0]
            key = {} if last.key is None else {"key": last.key}
            found.append({"kind": kind, **key, "why": WHYS[kind], "operations": [shown(op) for op in ops]})
        return found

    def _known_by(self, row: int, newer: int) -> list[int]:
        """The read by which the client knew of the newer version, if there was one."""
        c = self.c
        mine = (c.process[self.reads] == c.process[row]) & (self.version == newer) & (self.reads < row)
        return [int(found) for found in self.reads[mine][:1]]


def _groups(*columns: Ints) -> Ints:
    """The number of each run of equal rows."""
    changed = np.zeros(len(columns[0]), bool)
    for column in columns:
        changed[1:] |= column[1:] != column[:-1]
    return np.cumsum(changed)
