"""A finding as a story: the smallest set of operations that shows it, told in words that need no theory."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from engine import wording
from engine.anomalies import EDGES, anomaly
from engine.history import History
from engine.text import count, listed
from engine.witness import Witness, witness
from engine.wording import Shown, client, told, value

MOST_STORIES = 8
Moment = Callable[[int | None], str]


@dataclass(frozen=True)
class Story:
    """Times in seconds since second 0, null where an operation never ended."""

    kind: str
    title: str
    means: str
    sentences: list[str]
    operations: list[dict[str, Any]]
    start: float
    end: float
    culprits: list[int] = field(default_factory=list)
    cycle: list[dict[str, Any]] = field(default_factory=list)
    rules_out: list[str] = field(default_factory=list)
    key: Any = None
    more: int = 0  # findings of the same kind that are not told

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def stories(
    history: History, findings: list[dict[str, Any]], zero: int | None = None
) -> list[dict[str, Any]]:
    """Of the first finding of each kind, then of others; `zero` is second 0 in the history's ns."""
    if zero is None:
        zero = int(history.columns.invoked.min()) if len(history) else 0
    chosen = _chosen(findings)
    kinds = Counter(finding.get("kind", "") for finding in findings)
    kinds -= Counter(finding.get("kind", "") for finding in chosen)
    return [
        tell(history, finding, zero, kinds.pop(finding.get("kind", ""), 0)).to_dict() for finding in chosen
    ]


def _chosen(findings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    first: dict[str, int] = {}
    for i, finding in enumerate(findings):
        first.setdefault(finding.get("kind", ""), i)
    others = [i for i in range(len(findings)) if i not in set(first.values())]
    return [findings[i] for i in [*first.values(), *others][:MOST_STORIES]]


def tell(history: History, finding: dict[str, Any], zero: int, more: int = 0) -> Story:
    seen = witness(history, finding)
    times = [t for op in seen.operations for t in (op["invoked"], op["completed"]) if t is not None]
    start, end = min(times, default=zero), max(times, default=zero)
    moment = _moments(zero, start, end)
    kind = finding.get("kind", "")
    name = anomaly(kind)
    return Story(
        kind, name.title, name.means, list(_sentences(finding, seen, moment)),
        [_operation(op, zero) for op in seen.operations], (start - zero) / 1e9, (end - zero) / 1e9,
        seen.culprits, finding.get("cycle", []), finding.get("rules_out", []), finding.get("key"), more,
    )  # fmt: skip


def _operation(op: Shown, zero: int) -> dict[str, Any]:
    end = op["completed"]
    steps = wording.steps(op["result"] or op["value"]) if wording.is_transaction(op) else []
    return {
        "index": op["index"], "process": op["process"], "f": op["f"], "type": op["type"],
        "label": wording.label(op), "told": told(op), "maybe": bool(op.get("maybe")), "key": op.get("key"),
        "error": op.get("error", ""), "steps": steps,
        "start": (op["invoked"] - zero) / 1e9, "end": None if end is None else (end - zero) / 1e9,
    }  # fmt: skip


def _moments(zero: int, start: int, end: int) -> Moment:
    """Times as exact as it takes to tell these apart."""
    if abs(end - zero) < 1e9:
        return lambda ns: "never" if ns is None else f"{(ns - zero) / 1e6:.6g} ms"
    digits = 3 if end - start >= 1e9 else 4 if end - start >= 1e7 else 6
    return lambda ns: "never" if ns is None else f"{(ns - zero) / 1e9:,.{digits}f} s"


# Sentences


def _sentences(finding: dict[str, Any], seen: Witness, moment: Moment) -> Iterable[str]:
    if finding.get("cycle"):
        yield from _circle(finding["cycle"])
        return
    tells = _TELLS.get(finding.get("kind", ""), _plainly)
    yield from tells(finding, seen, moment)
    if seen.left_out:
        yield f"{count(seen.left_out, 'more operation')} had a part in it and would hide the rest."


def _circle(cycle: list[dict[str, Any]]) -> Iterable[str]:
    for edge in cycle:
        yield f"{edge['why']}, so T{edge['from']} must have come before T{edge['to']}."
    if len(cycle) == 2:
        yield "Each must have come before the other. No order of the two can be."
    else:
        yield f"That leads once round and back to T{cycle[0]['from']}: no order of the {len(cycle)} can be."


def _sure(seen: Witness) -> list[Shown]:
    return [op for op in seen.operations if not op.get("maybe")]


def _culprit(seen: Witness) -> Shown | None:
    return next((op for op in seen.operations if op["index"] in seen.culprits), None)


def _said(op: Shown, moment: Moment) -> str:
    """A whole sentence about one operation."""
    where = f" ({op['key']})" if op.get("key") is not None else ""
    if op["completed"] is None or op["type"] == "info":
        return f"{_Client(op)} at {moment(op['invoked'])}{where} {told(op)}."
    return f"At {moment(op['completed'])} {client(op)}{where} {told(op)}."


def _Client(op: Shown) -> str:  # as it stands at the beginning of a sentence
    return client(op).capitalize()


def _plainly(finding: dict[str, Any], seen: Witness, moment: Moment) -> Iterable[str]:
    """One operation after the other, and why it cannot be."""
    for op in seen.operations[:6]:
        yield _transacted(op) if wording.is_transaction(op) else _said(op, moment)
    if why := finding.get("why"):
        yield f"{why[:1].upper()}{why[1:]}."


def _transacted(op: Shown) -> str:
    became = {"ok": "", "fail": ", which failed and was taken back", "info": ", which never got an answer"}
    return f"T{op['index']}, of {client(op)}{became[op['type']]}: {wording.asked(op)}."


def _unordered(finding: dict[str, Any], seen: Witness, moment: Moment) -> Iterable[str]:
    sure, last = _sure(seen), _culprit(seen)
    if last is None:
        yield from _plainly(finding, seen, moment)
        return
    yield _against(last, sure, seen.operations, moment)
    pending = [op for op in seen.operations if op["type"] == "info"]
    if pending:
        who = listed([f"{client(op)} ({wording.asked(op)})" for op in pending[:4]])
        yield f"No answer ever came to {who}; whether and when that happened, it does not help."
    if older := _older(last, sure):
        yield f"{value(last['result'])} is older: {_writing(older, moment)}."
    if wording.looks(last):
        where = f"key {finding['key']}" if finding.get("key") is not None else "it"
        yield (
            f"For that answer {where} had to hold {value(last['result'])} at some moment from "
            f"{moment(last['invoked'])} to {moment(last['completed'])}."
        )
    number = len(seen.operations)
    before = ", whatever was there before" if "whatever" in finding.get("why", "") else ""
    if number > 1:
        yield f"No order of these {number} operations explains all that was answered{before}."


def _against(last: Shown, sure: list[Shown], every: list[Shown], moment: Moment) -> str:
    """What was answered, although somebody had been told otherwise."""
    found = f"{_Client(last)} {told(last)} at {moment(last['completed'])}"
    earlier = [
        op for op in sure
        if op is not last and op["completed"] is not None and op["completed"] < last["invoked"]
        and op["type"] == "ok" and _leaves(op) != _leaves(last)
    ]  # fmt: skip
    if earlier:
        newest = max(earlier, key=lambda op: int(op["completed"]))
        had = told(newest).removeprefix("was ")
        verb = "had already been" if told(newest).startswith("was ") else "had already"
        who = "it" if newest["process"] == last["process"] else client(newest)
        return f"{found}, although {who} {verb} {had} at {moment(newest['completed'])}."
    if len(every) == 1:
        return f"{found}, and nothing that may have happened could have led to that."
    return f"{found}."


def _older(last: Shown, sure: list[Shown]) -> Shown | None:
    """The writing of what was read, where it was over before another changed it."""
    if not wording.looks(last):
        return None
    wrote = [
        op for op in sure if not wording.looks(op) and _leaves(op) == last["result"] and op["type"] == "ok"
    ]
    others = [op for op in sure if not wording.looks(op) and _leaves(op) != last["result"]]
    return next((w for w in wrote if any(w["completed"] < op["invoked"] for op in others)), None)


def _writing(op: Shown, moment: Moment) -> str:
    return f"{client(op)} {told(op)} at {moment(op['completed'])}, before the other began"


def _leaves(op: Shown) -> Any:
    """What was there after it, as far as it tells."""
    if wording.looks(op):
        return op["result"]
    asked = op["value"]
    return asked[1] if op["f"] == "cas" and isinstance(asked, list | tuple) and len(asked) == 2 else asked


def _element(finding: dict[str, Any], seen: Witness, moment: Moment) -> Iterable[str]:
    """What became of one element of a set."""
    kind, what = finding["kind"], value(finding["element"])
    for op in seen.operations:
        if op["f"] == "add":
            yield _said(op, moment)
            continue
        here = op["result"] if isinstance(op["result"], list | tuple) else []
        times = sum(one == finding["element"] for one in here)
        often = "" if times < 2 else f" {times} times"
        found = f"found {what}{often}" if times else f"did not find {what}"
        many = count(len(here), "element")
        yield f"At {moment(op['completed'])} {client(op)} read everything, {many}, and {found}."
    yield {
        "lost": f"Nobody had taken {what} away: it is lost.",
        "stale": f"That answer lacked {what}, which was stored and is there later: it came from an old copy.",
        "resurrected": f"Nobody had taken {what} away or put it back: for a while a copy without it answered.",
        "vanished": f"Nobody had taken {what} away.",
        "unexpected": f"So {what} must not be there: {finding.get('why', 'nobody added it')}.",
        "duplicated": f"A set holds {what} once.",
    }[kind]


def _session(finding: dict[str, Any], seen: Witness, moment: Moment) -> Iterable[str]:
    for op in seen.operations:
        yield _said(op, moment)
    last = _culprit(seen)
    if last is not None:
        yield f"What {client(last)} was shown last is older than what it knew: {finding['why']}."


def _counted(finding: dict[str, Any], seen: Witness, moment: Moment) -> Iterable[str]:
    last = _culprit(seen)
    if last is None:
        return
    sums: Counter[str] = Counter()
    for op in seen.operations:
        if op["f"] == "add":
            sums[{"ok": "acknowledged", "info": "without an answer", "fail": "refused"}[op["type"]]] += op[
                "value"
            ]
    if sums:
        told_ = listed([f"{number} {word}" for word, number in sums.items()])
        yield f"Until then clients had added: {told_}."
    yield f"At {moment(last['completed'])} {client(last)} read {value(last['result'])}."
    yield f"{finding['why'][:1].upper()}{finding['why'][1:]}."


def _queued(finding: dict[str, Any], seen: Witness, moment: Moment) -> Iterable[str]:
    if "element" in finding:
        yield from _element(finding, seen, moment)
        return
    yield from _plainly({}, seen, moment)
    yield {
        "unexpected": "{v} came out, and {why}.",
        "duplicated": "{v} went in once at the most for each time that it may come out, and it came out twice.",
        "out of order": "{v} came out before the one that had gone in first.",
        "not empty": "At no moment of that call was the queue empty.",
    }[finding["kind"]].format(
        v=value(finding.get("value")), why=finding.get("why", "").removeprefix("it came out, and ")
    )


_TELLS: dict[str, Callable[[dict[str, Any], Witness, Moment], Iterable[str]]] = {
    "not linearizable": _unordered, "lost": _element, "stale": _element, "resurrected": _element,
    "vanished": _element, "unexpected": _queued, "duplicated": _queued, "out of order": _queued,
    "not empty": _queued, "out of bounds": _counted, "fallen": _plainly, "read your writes": _session,
    "monotonic reads": _session, "monotonic writes": _session, "writes follow reads": _session,
}  # fmt: skip

__all__ = ["EDGES", "Story", "stories", "tell"]
