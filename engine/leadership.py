"""Views of single nodes -> changes of the leader. Pure."""

from collections import Counter
from typing import Any

Change = dict[str, Any]


def leader_changes(views: list[dict[str, Any]]) -> list[Change]:
    """Changes on which a majority of the nodes that answer agreed, as {lost_at, elected_at, from, to}.

    `views` are changes of one node's view, in order: {at, node, sees, reachable}. A leader is lost when
    the first node that answers no longer sees it, and the next is elected when the first node sees that
    one. A node that only takes itself for the leader changes nothing. `elected_at` and `to` are None
    where a majority saw no leader until the end.
    """
    seen: dict[str, str | None] = {}  # by node, of those that answer
    since: dict[str, float] = {}  # when each node's view became what it is
    current: str | None = None
    left: dict[str, float] = {}  # when each node ceased to see the current leader
    changes: list[Change] = []
    for view in views:
        node, at = view["node"], view["at"]
        if not view["reachable"]:
            seen.pop(node, None)
            left.pop(node, None)
            continue
        before = seen.get(node)
        seen[node], since[node] = view["sees"], at
        if view["sees"] == current:
            left.pop(node, None)
        elif (
            current is not None and before == current
        ):  # who never saw it, such as an old leader, tells nothing
            left.setdefault(node, at)
        agreed = _agreed(seen)
        if agreed is None or agreed == current:
            continue
        if current is not None:
            first = min(since[n] for n, sees in seen.items() if sees == agreed)
            lost = min([first, *left.values()])
            changes.append({"lost_at": lost, "elected_at": first, "from": current, "to": agreed})
        current, left = agreed, {}
    alone = [since[n] for n, sees in seen.items() if sees is None]
    if current is not None and len(alone) * 2 > len(seen):
        lost = min(left.values(), default=min(alone))
        changes.append({"lost_at": lost, "elected_at": None, "from": current, "to": None})
    return changes


def _agreed(seen: dict[str, str | None]) -> str | None:
    """The leader that more than half of those who answer see."""
    votes = Counter(sees for sees in seen.values() if sees is not None)
    if not votes:
        return None
    name, count = votes.most_common(1)[0]
    return name if count * 2 > len(seen) else None


def split_brain(views: list[dict[str, Any]]) -> list[Change]:
    """Times at which two nodes each took themselves for the leader, as {from, to, nodes, term, sure}.

    `views` as above, with `term` where the system has one. Two leaders of one term are `sure`: that must
    never be. Where terms are not told it is not sure which of them would still be followed, so neither is
    this. Of different terms, the older only has not heard yet: that is no split. `to` is None where it
    lasted until the end.
    """
    leads: dict[str, int | None] = {}  # by node that takes itself for the leader: its term
    open_: dict[tuple[str, str], Change] = {}
    found: list[Change] = []
    for view in views:
        node = view["node"]
        leads.pop(node, None)
        if view["reachable"] and view["sees"] == node:
            leads[node] = view.get("term")
        now = {pair: term for pair, term in _pairs(leads) if leads[pair[0]] == leads[pair[1]]}
        for pair in [pair for pair in open_ if pair not in now]:
            open_.pop(pair)["to"] = view["at"]
        for pair, term in now.items():
            if pair not in open_:
                open_[pair] = {
                    "from": view["at"], "to": None, "nodes": [*pair], "term": term, "sure": term is not None,
                }  # fmt: skip
                found.append(open_[pair])
    return found


def _pairs(leads: dict[str, int | None]) -> list[tuple[tuple[str, str], int | None]]:
    names = sorted(leads)
    return [((a, b), leads[a]) for i, a in enumerate(names) for b in names[i + 1 :]]
