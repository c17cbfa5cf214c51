"""When do all replicas answer the same again, and what differed? Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from engine.columns import NEVER
from engine.history import History
from engine.samples import Outcome
from engine.specs import freeze


class Look(NamedTuple):
    """What a node answered, and when the answer came."""

    at: float
    node: str
    key: Any
    value: Any


@dataclass
class Converged:
    """`at` is None where they had not come to one answer when the last look was taken.

    `differed` tells of each key on which they did not agree after the healing: the answers by node as they
    stood when they last differed, and `until` when, None where they differ still.
    """

    healed: float
    at: float | None
    nodes: list[str]
    differed: list[dict[str, Any]] = field(default_factory=list)

    @property
    def took(self) -> float | None:
        return None if self.at is None else self.at - self.healed


def convergence(looks: Iterable[Look], healed: float) -> Converged | None:
    """From `healed` on. None where fewer than two nodes were looked at, or one of them never again.

    What is compared is what each node answered last. Where writes go on, replicas differ by what is on
    its way: then it tells when they were first level, and stayed so to the end.
    """
    given = sorted(looks, key=lambda look: look.at)
    asked: dict[Any, set[str]] = {}
    for look in given:
        asked.setdefault(look.key, set()).add(look.node)
    asked = {key: nodes for key, nodes in asked.items() if len(nodes) > 1}
    one = _Following(asked, healed)
    for look in given:
        if look.at >= healed and look.key in asked:
            one.take(look)
    return one.found()


class _Following:
    def __init__(self, asked: dict[Any, set[str]], healed: float) -> None:
        self.asked, self.healed = asked, healed
        self.answers: dict[Any, dict[str, Any]] = {key: {} for key in asked}
        self.apart: dict[Any, dict[str, Any]] = {}  # by key that differs: the answers
        self.was: dict[Any, dict[str, Any]] = {}  # by key that differed
        self.silent = sum(map(len, asked.values()))  # answers still awaited
        self.since: float | None = None

    def take(self, look: Look) -> None:
        answers = self.answers[look.key]
        self.silent -= look.node not in answers
        answers[look.node] = look.value
        if len(set(map(freeze, answers.values()))) > 1:
            self.apart[look.key] = dict(answers)
        elif (before := self.apart.pop(look.key, None)) is not None:
            self.was[look.key] = {"key": look.key, "answers": before, "until": look.at}
        level = not self.apart and not self.silent
        self.since = (look.at if self.since is None else self.since) if level else None

    def found(self) -> Converged | None:
        if not self.asked or self.silent:
            return None
        still = [{"key": key, "answers": answers, "until": None} for key, answers in self.apart.items()]
        ended = [one for key, one in self.was.items() if key not in self.apart]
        nodes = sorted(set().union(*self.asked.values()))
        return Converged(self.healed, self.since, nodes, [*still, *ended])


def looks_of(history: History) -> list[Look]:
    """The reads of a history that tells which node answered; times in monotonic ns."""
    c = history.columns
    if c.node is None:
        return []
    names = [name for name in ("read", "get") if c.fs.known(name) >= 0]
    rows = c.named(*names) & (c.outcome == Outcome.OK) & (c.node > 0) & (c.completed != NEVER)
    return [Look(op.completed or 0, op.node, op.key, op.result) for op in history.at(rows.nonzero()[0])]
