from dataclasses import dataclass
from typing import Any, ClassVar

from engine.checkers import Checker, shown
from engine.checkers._live_counts import Elements as Seen
from engine.elements import Elements, elements
from engine.history import History
from engine.live import Watcher
from engine.text import count
from engine.verdict import Judgement, Verdict

NAME = "set"
EXPECTED = "every acknowledged element is in the last read"
MOST_FINDINGS = 10_000
WHYS = {
    "stale": "it was acknowledged before this read, which lacks it",
    "resurrected": "it was read, then it was gone, then it was there again",
    "vanished": "it was read, and later it is gone",
}


@dataclass(frozen=True)
class Set(Checker):
    """Every element whose adding was acknowledged is there from then on, once, and nothing else is."""

    judges: ClassVar[tuple[str, ...]] = ("set",)

    def check(self, history: History) -> Judgement:
        sets = {key: elements(ops) for key, ops in history.by_key().items()}
        findings = [finding for key, one in sets.items() for finding in _findings(key, one)]
        acknowledged = sum(len(one.acknowledged) for one in sets.values())
        lost = sum(len(one.lost) for one in sets.values())
        if findings:
            headline = _violated(findings, lost, acknowledged)
            return Judgement(
                NAME, Verdict.VIOLATED, headline, EXPECTED, f"{lost:,} lost", findings[:MOST_FINDINGS]
            )
        if not acknowledged:
            return _unknown("no element was acknowledged, so none could be lost")
        if not all(one.final for one in sets.values()):
            return _unknown("the set could not be read at the end")
        if unread := sum(len(one.unread) for one in sets.values()):
            return _unknown(f"{count(unread, 'element')} acknowledged after the last read began")
        unsure = sum(len(one.unknown) for one in sets.values())
        there = sum(len(one.unknown & one.values) for one in sets.values())
        headline = f"none of {count(acknowledged, 'acknowledged element')} is lost"
        if unsure:
            headline += f"; of {unsure:,} without an answer {there:,} are there"
        return Judgement(NAME, Verdict.HELD, headline, EXPECTED, "0 lost")

    def live(self) -> Watcher | None:
        return Seen()


def _findings(key: Any, one: Elements) -> list[dict[str, Any]]:
    where = {} if key is None else {"key": key}
    found: list[dict[str, Any]] = [
        {
            "kind": "lost",
            **where,
            "element": op.value,
            "acknowledged_at": op.completed,
            "process": op.process,
            "index": op.index,
        }
        for op in one.lost
    ]
    index = one.final.index if one.final else None
    for element in one.unexpected:
        why = "its adding certainly failed" if element in one.failed else "nobody added it"
        found.append({"kind": "unexpected", **where, "element": element, "why": why, "index": index})
    for miss in one.missed:
        found.append(
            {
                "kind": miss.kind, **where, "element": miss.element, "why": WHYS[miss.kind],
                "index": miss.read.index, "operations": [shown(miss.before), shown(miss.read)],
            }
        )  # fmt: skip
    found += [{"kind": "duplicated", **where, "element": e, "index": index} for e in one.duplicated]
    return found


def _violated(findings: list[dict[str, Any]], lost: int, acknowledged: int) -> str:
    kinds = [finding["kind"] for finding in findings]
    parts = []
    if lost:
        parts.append(f"{lost:,} of {count(acknowledged, 'acknowledged element')} lost")
    for kind in ("unexpected", "duplicated", *WHYS):
        if kinds.count(kind):
            parts.append(f"{count(kinds.count(kind), f'{kind} element')}")
    return ", ".join(parts)


def _unknown(headline: str) -> Judgement:
    return Judgement(NAME, Verdict.UNKNOWN, headline, EXPECTED, "unknown")
