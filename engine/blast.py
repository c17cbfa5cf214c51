"""The blast radius: which nodes a fault hits, resolved at the moment of injection.

Words, of which several may be given: leader, followers, one, minority, majority, all; a number (`2`);
a share (`50%`); a random number up to a share (`<=50%`); a tag (`tag:zone-a`); names of nodes.
"""

import math
import random
from collections.abc import Sequence

from engine import units
from engine.errors import Refused
from engine.target import Node, Target

UP_TO = "<="
TAG = "tag:"
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
    return ", ".join(texts.get(word) or _in_words(word, names) for word in wanted)


def _in_words(word: str, names: list[str]) -> str:
    if word in names:
        return word
    if word.startswith(UP_TO):
        return f"up to {word.removeprefix(UP_TO)} of the nodes"
    if word.startswith(TAG):
        return f"the nodes tagged {word.removeprefix(TAG)}"
    if word.isdecimal():
        return f"{word} of {len(names)} nodes"
    return f"{word} of the nodes" if word.endswith("%") else word


def needs_leader(wanted: Sequence[str]) -> bool:
    return any(word in ("leader", "followers") for word in wanted)


def most(wanted: Sequence[str], target: Target) -> int:
    """The most nodes that it can hit; raises Refused where it names a node that is not there."""
    leader = target.nodes[0].name if needs_leader(wanted) else None
    return len(resolve([w.removeprefix(UP_TO) for w in wanted], target, leader, random.Random(0)))


def resolve(wanted: Sequence[str], target: Target, leader: str | None, dice: random.Random) -> list[str]:
    """The names of the nodes, in the target's order; raises Refused where there are none."""
    chosen: set[str] = set()
    for word in wanted:
        chosen.update(_one(word.strip(","), target, leader, dice))
    if not chosen:
        raise Refused(f"{' '.join(wanted) or 'The blast radius'} hits no node of {target.name}.")
    return [node.name for node in target.nodes if node.name in chosen]


def _one(word: str, target: Target, leader: str | None, dice: random.Random) -> list[str]:
    names = [node.name for node in target.nodes]
    if word in names:
        return [word]
    if word in ("leader", "followers"):
        if leader is None:
            raise Refused(
                "Nobody leads, or nobody says so; the leader cannot be chosen.", "Name a node instead."
            )
        return [leader] if word == "leader" else [name for name in names if name != leader]
    if word.startswith(TAG):
        tag = word.removeprefix(TAG)
        return [node.name for node in target.nodes if tag in node.tags]
    return dice.sample(names, _count(word, len(names), dice, names))


def _count(word: str, whole: int, dice: random.Random, names: Sequence[str]) -> int:
    """How many of `whole` nodes `word` means."""
    counts = {"one": 1, "minority": (whole - 1) // 2, "majority": whole // 2 + 1, "all": whole}
    if word in counts:
        return counts[word]
    if word.isdecimal():
        if int(word) > whole:
            raise Refused(f"{word} nodes should be hit, and there are only {whole}.")
        return int(word)
    share = word.removeprefix(UP_TO)
    if not share.endswith("%"):
        known = ", ".join((*WORDS, "2", "50%", "<=50%", "tag:…", *names))
        raise Refused(f"There is no node called {word!r}.", f"Choose from: {known}.")
    try:
        count = math.floor(min(1.0, units.parse(share, "share")) * whole)
    except ValueError as error:
        raise Refused(str(error)) from None
    return dice.randint(min(1, count), count) if word.startswith(UP_TO) else count


def named(wanted: Sequence[str], target: Target) -> set[str]:
    """The nodes that it is certain to hit."""
    words = set(wanted)
    return {n.name for n in target.nodes if words & {"all", n.name, *(f"{TAG}{tag}" for tag in n.tags)}}


def eligible(wanted: Sequence[str], target: Target) -> list[Node]:
    """The nodes that it may come to hit: those that it names or whose tags it names, else all."""
    words = set(wanted)
    found = [n for n in target.nodes if n.name in words or words & {f"{TAG}{tag}" for tag in n.tags}]
    return found or list(target.nodes)


def within_cap(count: int, target: Target) -> str:
    """Why `count` nodes are too many at once for the target's environment; "" where they are not."""
    if count <= allowed(target):
        return ""
    share = units.show(target.max_down, "share")
    return (
        f"{count} of {len(target.nodes)} nodes of {target.name} would be hurt at once; the environment "
        f"{target.environment} allows {share}, that is {allowed(target)}."
    )


def allowed(target: Target) -> int:
    """How many nodes of `target` its environment allows to be hurt at once."""
    return max(math.floor(target.max_down * len(target.nodes) + 1e-9), 0)
