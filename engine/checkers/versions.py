"""Registers whose store tells versions: their order is given, so what is left is to compare it with time.

Within a key, what wrote version v stands before all that read v, and those before what wrote the next.
There is an order that agrees with time if and only if nothing began after the end of something that
stands behind it: precedence and real time have no cycle. One sort and one running maximum find it.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from engine.checkers import Checker, shown
from engine.columns import NEVER, NONE, Columns, Ints
from engine.history import History
from engine.parameters import param
from engine.replay import rejects, steps
from engine.samples import Outcome
from engine.specs import REGISTRY as SPECS
from engine.specs import refuse_others
from engine.text import count
from engine.verdict import Judgement, Verdict

NAME = "versions"
EXPECTED = (
    "every operation takes effect between its call and its answer, in the order of the store's versions"
)
WORDS = {"register": ("read", "write"), "cas-register": ("read", "write"), "kv": ("get", "put")}
MOST_FINDINGS = 16  # of a kind
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Versions(Checker):
    """Where the store tells the version of what it read or wrote: is their order one that time allows?

    Keys where an answer came without a version, where cas failed, or where nobody can be named who wrote
    what was read, are not judged by versions.
    """

    judges: ClassVar[tuple[str, ...]] = ()

    spec: str = param("register", help="what the operations are", choices=tuple(WORDS))
    certify: bool = param(False, help="prove a held verdict by replaying the order")

    def check(self, history: History) -> Judgement:
        refuse_others(history.columns, self.spec, SPECS.get(self.spec).names)
        c = history.columns
        if c.version is None:
            return _judgement(Verdict.UNKNOWN, "the history tells no versions", [])
        one = Versioned(history, *WORDS[self.spec])
        findings = one.findings()
        if findings:
            kinds = [finding["kind"] for finding in findings]
            told = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
            return _judgement(Verdict.VIOLATED, told, findings)
        if one.unsure.any():
            what = count(int(one.unsure.sum()), "key")
            return _judgement(Verdict.UNKNOWN, f"{what} cannot be judged by versions alone", [])
        headline = f"{count(len(c), 'operation')} in the order of their versions"
        if self.certify:
            headline += self._replayed(history, one)
        return _judgement(Verdict.HELD, headline, [])

    def _replayed(self, history: History, one: "Versioned") -> str:
        spec, proven = SPECS.get(self.spec)(), 0
        orders = one.orders()
        for rows, order in orders:
            found = steps(spec, history.at(rows))
            place = {step.op.index: i for i, step in enumerate(found)}
            wanted = [place[int(history.columns.index[row])] for row in order]
            if why := rejects(spec, found, wanted):
                raise AssertionError(f"the order of the versions is none: {why}")
            proven += 1
        return f"; certified by replay for {count(proven, 'key')}"


def _judgement(verdict: Verdict, headline: str, findings: list[dict[str, Any]]) -> Judgement:
    measured = count(len(findings), "contradiction") if findings else verdict.word
    return Judgement(NAME, verdict, headline, EXPECTED, measured, findings)


class Versioned:
    """The operations that took effect, by key and version. `unsure` is by code of the key."""

    def __init__(self, history: History, read: str, write: str) -> None:
        self.history, self.c = history, history.columns
        c = self.c
        assert c.version is not None
        ok = c.outcome == Outcome.OK
        self.unsure, self.wrong = np.zeros((2, len(c.keys)), bool)
        changes = (c.named(write) | c.named("cas")) & (c.outcome != Outcome.FAIL)
        plain = c.named(read) | c.named(write) | c.named("cas")
        mismatch = (c.outcome == Outcome.FAIL) & (c.error == c.errors.known("mismatch")) & c.named("cas")
        self.unsure[c.key[(ok & (c.version < 0)) | (~plain & (c.outcome != Outcome.FAIL)) | mismatch]] = True
        self.new, self.old = _values(c, changes)
        self._opaque(changes, c.named(read) & ok)
        self.rows = np.flatnonzero(ok & ~self.unsure[c.key] & (c.version >= 0))
        self.version = c.version.copy()
        self.is_read = c.named(read)
        self.kinds: dict[str, list[tuple[str, list[int]]]] = {}
        self._writers()
        self._pending(np.flatnonzero(changes & (c.outcome == Outcome.INFO) & ~self.unsure[c.key]))
        self._sort()
        self._backwards()
        self._asked()

    def _opaque(self, changes: Bools, reads: Bools) -> None:
        """Lists and objects have no code that tells which are equal."""
        c = self.c
        if not c.values.opaque:
            return
        opaque = np.zeros(len(c.values), bool)
        opaque[c.values.opaque] = True
        self.unsure[c.key[changes & (opaque[self.new] | ((self.old >= 0) & opaque[self.old]))]] = True
        self.unsure[c.key[reads & opaque[c.result]]] = True

    def _note(self, kind: str, why: str, rows: list[int]) -> None:
        self.kinds.setdefault(kind, []).append((why, rows))

    def _told(self, row: int) -> str:
        return f"version {int(self.version[row])}"

    def _writers(self) -> None:
        """One write a version, and all that read it read what it wrote."""
        c = self.c
        rows = self.rows[np.lexsort((self.is_read[self.rows], self.version[self.rows], c.key[self.rows]))]
        value = np.where(self.is_read[rows], c.result[rows], self.new[rows])
        same = np.zeros(len(rows), bool)
        same[1:] = (c.key[rows][1:] == c.key[rows][:-1]) & (self.version[rows][1:] == self.version[rows][:-1])
        twice, differ = same & ~self.is_read[rows], same & (value != np.roll(value, 1)) & self.is_read[rows]
        self.wrong[c.key[rows[twice | differ]]] = True
        for i in np.flatnonzero(twice)[:MOST_FINDINGS].tolist():
            why = f"two writes were told that they made {self._told(int(rows[i]))}"
            self._note("one version twice", why, [int(rows[i - 1]), int(rows[i])])
        for i in np.flatnonzero(differ)[:MOST_FINDINGS].tolist():
            why = f"{self._told(int(rows[i]))} has two values"
            self._note("one version, two values", why, [int(rows[i - 1]), int(rows[i])])
        self.heads = rows[~same]  # of each version its write, or a read of what none that was answered wrote
        self.value_of = value[~same]

    def _pending(self, pending: Ints) -> None:
        """Who wrote the versions that none which was answered wrote: a write without an answer, each once."""
        c = self.c
        lowest = np.ones(len(self.heads), bool)
        lowest[1:] = c.key[self.heads][1:] != c.key[self.heads][:-1]
        orphans = np.flatnonzero(self.is_read[self.heads] & ~(lowest & (self.value_of == NONE)))
        can: dict[tuple[int, int], list[int]] = {}
        for row in pending.tolist():
            can.setdefault((int(c.key[row]), int(self.new[row])), []).append(row)
        for i in orphans.tolist():
            row = int(self.heads[i])
            key, value = int(c.key[row]), int(self.value_of[i])
            writers = can.get((key, value), [])
            if len(writers) > 1:
                self.unsure[key] = True
            elif writers:
                can[key, value] = []
                self.version[writers[0]] = self.version[row]
                self.rows = np.append(self.rows, writers[0])
                self.heads[i] = writers[0]
            elif (key, value) in can:
                self.unsure[key] = True  # its only writer has made another version already
            else:
                self.wrong[key] = True
                self._note("unwritten", f"nobody wrote what was read as {self._told(row)}", [row])
        self.unread = {key for (key, _), rows in can.items() if rows}

    def _sort(self) -> None:
        """By key, version, and what wrote it first: the order that the versions tell."""
        c = self.c
        self.rows = self.rows[~self.unsure[c.key[self.rows]]]
        order = np.lexsort(
            (c.invoked[self.rows], self.is_read[self.rows], self.version[self.rows], c.key[self.rows])
        )
        self.rows = self.rows[order]
        rows = self.rows
        moved = np.ones(len(rows), bool)  # reads of one version stand together
        moved[1:] = (
            (c.key[rows][1:] != c.key[rows][:-1])
            | (self.version[rows][1:] != self.version[rows][:-1])
            | ~self.is_read[rows][:-1]
            | ~self.is_read[rows][1:]
        )
        self.place = np.cumsum(moved)

    def held(self) -> Bools:
        """By code of the key: is the order of its versions one that explains all answers?"""
        return ~self.unsure & ~self.wrong

    def findings(self) -> list[dict[str, Any]]:
        found = []
        for kind, all_ in self.kinds.items():
            for why, rows in all_[:MOST_FINDINGS]:
                if self.unsure[self.c.key[rows[0]]]:
                    continue
                ops = self.history.at(rows)
                key = {} if ops[0].key is None else {"key": ops[0].key}
                operations = [
                    shown(op, version=int(self.version[row])) for op, row in zip(ops, rows, strict=True)
                ]
                found.append({"kind": kind, **key, "why": why, "operations": operations})
        return found

    def _backwards(self) -> None:
        """What began after the end of something that stands behind it."""
        c, rows = self.c, self.rows
        if not len(rows):
            return
        ended = np.where((c.outcome[rows] == Outcome.OK), c.completed[rows], NEVER)
        ranks = np.unique(np.concatenate([c.invoked[rows], ended]), return_inverse=True)[1].ravel()
        span = int(ranks.max()) + 1
        starts, ends = c.key[rows] * span + ranks[: len(rows)], c.key[rows] * span + ranks[len(rows) :]
        by_end = np.argsort(ends)
        most = np.maximum.accumulate(
            self.place[by_end]
        )  # places grow with keys, so a key's are above all before
        before = np.searchsorted(ends[by_end], starts, side="left") - 1
        wrong = np.flatnonzero((before >= 0) & (most[np.maximum(before, 0)] > self.place))
        self.wrong[c.key[rows[wrong]]] = True
        for i in wrong[:MOST_FINDINGS].tolist():
            j = int(by_end[int(np.argmax(self.place[by_end[: before[i] + 1]]))])
            a, b = int(rows[j]), int(rows[i])
            why = f"{self._told(b)} was {self._did(b)} after {self._told(a)} had been {self._did(a)}"
            self._note("backwards", why, [a, b])

    def _did(self, row: int) -> str:
        return "read" if self.is_read[row] else "written"

    def _asked(self) -> None:
        """A cas must find its old value in the version before its own."""
        c = self.c
        heads = self.heads
        for i in np.flatnonzero(self.old[heads] >= 0).tolist():
            row = int(heads[i])
            first = i == 0 or c.key[heads[i - 1]] != c.key[row]
            there = NONE if first else int(self.value_of[i - 1])
            if there == self.old[row] or self.unsure[c.key[row]]:
                continue
            if int(c.key[row]) in self.unread:
                self.unsure[c.key[row]] = True  # one that nobody read may stand between
                continue
            self.wrong[c.key[row]] = True
            why = f"the cas that made {self._told(row)} asks for what was not there before it"
            self._note("cas of another value", why, [*([] if first else [int(heads[i - 1])]), row])

    def orders(self) -> list[tuple[Ints, Ints]]:
        """Of each key its rows, and those that took effect in their order."""
        keys = self.c.key[self.rows]
        cuts = np.flatnonzero(np.diff(keys)) + 1
        parts = np.split(self.rows, cuts) if len(keys) else []
        return [(np.sort(np.flatnonzero(self.c.key == self.c.key[part[0]])), part) for part in parts]


def _values(c: Columns, changes: Bools) -> tuple[Ints, Ints]:
    """What each row wrote, and the old value of each cas, -1 where it is none."""
    new, old = np.where(changes, c.value, NONE), np.full(len(c), -1, np.int64)
    for row in np.flatnonzero(changes & c.named("cas")).tolist():
        old[row], new[row] = map(c.values.code, c.values.values[c.value[row]])
    return new, old
