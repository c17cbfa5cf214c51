"""What became of each element that was added to a set: acknowledged, failed, unknown, read back, lost."""

from dataclasses import dataclass, field
from typing import Any

from engine.history import History, Op
from engine.samples import Outcome


@dataclass
class Elements:
    """Of one set, judged by its last good read.

    Absence is a loss only if that read began after the acknowledgement: what was acknowledged later
    and is not in it is `unread`.
    """

    attempted: set[Any] = field(default_factory=set)
    acknowledged: dict[Any, Op] = field(default_factory=dict)
    failed: set[Any] = field(default_factory=set)
    unknown: set[Any] = field(default_factory=set)
    final: Op | None = None
    values: set[Any] = field(default_factory=set)
    lost: list[Op] = field(default_factory=list)
    unread: list[Op] = field(default_factory=list)
    unexpected: list[Any] = field(default_factory=list)  # read, and never added or certainly not
    duplicated: list[Any] = field(default_factory=list)
    missed: list["Missed"] = field(default_factory=list)


@dataclass(frozen=True)
class Missed:
    """A read that lacks an element which had to be there; the element's first such read.

    stale: it was acknowledged, and is there later. resurrected: it was seen, gone, and is there again.
    vanished: it was seen, though never acknowledged, and is gone.
    """

    kind: str
    element: Any
    read: Op
    before: Op  # the read that had it, or its adding


def elements(ops: list[Op]) -> Elements:
    found = Elements()
    adds = [op for op in ops if op.f == "add"]
    found.attempted = {_name(op.value) for op in adds}
    found.acknowledged = {_name(op.value): op for op in reversed(adds) if op.outcome is Outcome.OK}
    found.unknown = {_name(op.value) for op in adds if op.outcome is Outcome.INFO} - found.acknowledged.keys()
    found.failed = found.attempted - found.acknowledged.keys() - found.unknown
    reads = [op for op in ops if op.f == "read" and op.outcome is Outcome.OK and isinstance(op.result, list)]
    found.final = max(reads, key=lambda op: op.invoked, default=None)
    if found.final:
        _compare(found, found.final)
        _misses(found, reads)
    return found


def _compare(found: Elements, final: Op) -> None:
    listed = [_name(value) for value in final.result]
    found.values = set(listed)
    missing = [op for element, op in found.acknowledged.items() if element not in found.values]
    missing.sort(key=lambda op: op.index)
    found.lost = [op for op in missing if (op.completed or 0) < final.invoked]
    found.unread = [op for op in missing if (op.completed or 0) >= final.invoked]
    found.unexpected = sorted(found.values - (found.attempted - found.failed), key=repr)
    if len(listed) > len(found.values):
        seen: set[Any] = set()
        found.duplicated = sorted({e for e in listed if e in seen or seen.add(e)}, key=repr)  # type: ignore[func-returns-value]  # the idiom: add gives None


def _misses(found: Elements, reads: list[Op]) -> None:
    """What an earlier read lacks, and what the last one lacks of what was seen only."""
    added = {element: (op.completed or 0, op) for element, op in found.acknowledged.items()}
    seen: dict[Any, tuple[int, Op]] = {}  # the first read to end that had each
    for op in sorted(reads, key=lambda op: op.completed or 0) if len(reads) > 1 else ():
        for element in {_name(value) for value in op.result} & found.attempted:
            seen.setdefault(element, (op.completed or 0, op))
    known = ((element, at) for certain in (added, seen) for element, (at, _) in certain.items())
    coming = sorted(known, key=lambda item: item[1])
    there: set[Any] = set()
    place = 0
    told: set[Any] = {_name(op.value) for op in found.lost}
    for op in sorted(reads, key=lambda op: op.invoked):
        while place < len(coming) and coming[place][1] < op.invoked:
            there.add(coming[place][0])
            place += 1
        for element in sorted(there - {_name(value) for value in op.result} - told, key=repr):
            told.add(element)
            again = element in seen and seen[element][0] < op.invoked
            kind = "vanished" if element not in found.values else "resurrected" if again else "stale"
            found.missed.append(Missed(kind, element, op, (seen if again else added)[element][1]))


def counts(history: History) -> dict[str, int | None]:
    """Over all sets of the history; what only a read can tell is None without one."""
    sets = [elements(ops) for ops in history.by_key().values()]
    was_read = bool(sets) and all(one.final for one in sets)
    return {
        "attempted": sum(len(one.attempted) for one in sets),
        "acknowledged": sum(len(one.acknowledged) for one in sets),
        "failed": sum(len(one.failed) for one in sets),
        "unknown": sum(len(one.unknown) for one in sets),
        "read_back": sum(len(one.values) for one in sets) if was_read else None,
        "lost": sum(len(one.lost) for one in sets) if was_read else None,
    }


def _name(value: Any) -> Any:
    return repr(value) if isinstance(value, list | dict) else value
