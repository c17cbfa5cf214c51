"""Who answered the clients: the share of each node before, during and after the harm. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from engine.columns import NEVER
from engine.history import History
from engine.samples import Outcome

PARTS = ("before", "during", "after")
GONE = frozenset({"kill", "pause", "stop", "crash_loop"})  # faults under which a node cannot answer at all


def shares(
    history: History | None, names: Iterable[str], windows: Sequence[tuple[int, int]], end: int
) -> list[dict[str, Any]]:
    """Answered operations by node, in each part of a run; nothing where the history names no node.

    `windows` are the faults' in ns, `end` is that of the run; an operation counts when it was answered.
    """
    if history is None or history.columns.node is None:
        return []
    c = history.columns
    answered = (c.outcome == Outcome.OK) & (c.completed != NEVER)
    first = min((a for a, _ in windows), default=end)
    last = max((b for _, b in windows), default=end)
    part = np.digitize(c.completed, [first, last])
    found = []
    for name in names:
        code = c.nodes.known(name)
        mine = answered & (c.node == code) if code >= 0 else np.zeros(len(c), bool)
        counts = {which: int((mine & (part == i)).sum()) for i, which in enumerate(PARTS)}
        found.append({"node": name, **counts})
    return _with_shares(found) if any(row[p] for row in found for p in PARTS) else []


def _with_shares(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    totals = {part: sum(row[part] for row in found) for part in PARTS}
    return [
        {**row, **{f"{part}_share": row[part] / totals[part] if totals[part] else None for part in PARTS}}
        for row in found
    ]


def answered_while_gone(
    history: History | None, faults: Iterable[Mapping[str, Any]], windows: Sequence[tuple[int, int]]
) -> list[dict[str, Any]]:
    """For each node that was killed or stopped: how many answers came from it well within that time.

    An answer that was under way is let through: an operation counts that was also called meanwhile.
    """
    if history is None or history.columns.node is None:
        return []
    c = history.columns
    found = []
    for fault, (start, end) in zip(faults, windows, strict=True):
        for name in fault["nodes"] if fault["name"] in GONE else ():
            code = c.nodes.known(name)
            while_gone = (
                (c.node == code) & (c.invoked > start) & (c.completed < end) & (c.outcome == Outcome.OK)
            )
            found.append(
                {"node": name, "fault": fault["line"], "answers": int(while_gone.sum()) if code >= 0 else 0}
            )
    return found
