"""The blast radius: which nodes a fault hits, resolved at the moment of injection."""

import math
import random
from collections.abc import Sequence

from engine import units
from engine.errors import Refused
from engine.target import Target

WORDS = ("leader", "followers", "one", "minority", "majority", "all")


def candidates(wanted: Sequence[str], target: Target) -> str:
    """Whom it may hit, in words, before anything happens: `the leader`, `one of n1, n2, n3`."""
    names = [node.name for node in target.nodes]
    texts = {
        "leader": "the leader",
        "followers": "the followers",
        "one": f"one of {', '.join(names)}" if len(names) > 1 else names[0],
        "minority": f"{(len(names) - 1) // 2} of {len(names)} nodes",
        "majority": f"{len(names) // 2 + 1} of {len(names)} nodes",
        "all": "all nodes",
    }
    return ", ".join(
        texts.get(word) or (f"{word} of the nodes" if word.endswith("%") else word) for word in wanted
    )


def needs_leader(wanted: Sequence[str]) -> bool:
    return any(word in ("leader", "followers") for word in wanted)


def most(wanted: Sequence[str], target: Target) -> int:
    """The most nodes that it can hit; raises Refused where it names a node that is not there."""
    leader = target.nodes[0].name if needs_leader(wanted) else None
    return len(resolve(wanted, target, leader, random.Random(0)))


def resolve(wanted: Sequence[str], target: Target, leader: str | None, dice: random.Random) -> list[str]:
    """The names of the nodes, in the target's order; raises Refused where there are none."""
    names = [node.name for node in target.nodes]
    chosen: set[str] = set()
    for word in wanted:
        chosen.update(_one(word.strip(","), names, leader, dice))
    if not chosen:
        raise Refused(f"{' '.join(wanted) or 'The blast radius'} hits no node of {target.name}.")
    return [name for name in names if name in chosen]


def _one(word: str, names: list[str], leader: str | None, dice: random.Random) -> list[str]:
    if word in names:
        return [word]
    if word in ("leader", "followers"):
        if leader is None:
            raise Refused(
                "Nobody leads, or nobody says so; the leader cannot be chosen.", "Name a node instead."
            )
        return [leader] if word == "leader" else [name for name in names if name != leader]
    count = {
        "one": 1,
        "minority": (len(names) - 1) // 2,
        "majority": len(names) // 2 + 1,
        "all": len(names),
    }.get(word)
    if count is None and word.endswith("%"):
        try:
            count = math.floor(min(1.0, units.parse(word, "share")) * len(names))
        except ValueError as error:
            raise Refused(str(error)) from None
    if count is None:
        known = ", ".join((*WORDS, "50%", *names))
        raise Refused(f"There is no node called {word!r}.", f"Choose from: {known}.")
    return dice.sample(names, count)


def within_cap(count: int, target: Target) -> str:
    """Why `count` nodes are too many at once for the target's environment; "" where they are not."""
    allowed = max(math.floor(target.max_down * len(target.nodes) + 1e-9), 0)
    if count <= allowed:
        return ""
    share = units.show(target.max_down, "share")
    return (
        f"{count} of {len(target.nodes)} nodes of {target.name} would be hurt at once; the environment "
        f"{target.environment} allows {share}, that is {allowed}."
    )
