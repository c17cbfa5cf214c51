"""Checkers judge a history: was every answer one that a correct system could have given?"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from engine.history import History, Op
from engine.live import Watcher
from engine.registry import Registry
from engine.verdict import Judgement


@dataclass(frozen=True)
class Checker(ABC):
    """The base of all checkers."""

    judges: ClassVar[tuple[str, ...]] = ()  # the specs of which it is the checker, if no other is asked for

    @abstractmethod
    def check(self, history: History) -> Judgement:
        """Times in the findings are the history's own: monotonic ns."""

    def live(self) -> Watcher | None:
        """Who judges a history while it grows; None where only the whole can be judged."""
        return None


def shown(op: Op, **more: Any) -> dict[str, Any]:
    """An operation as a finding shows it; times in the history's own ns, null where it never ended."""
    found = {
        "index": op.index, "process": op.process, "type": op.outcome.name.lower(), "f": op.f, "value": op.value,
        "result": op.result, "invoked": op.invoked, "completed": op.completed,
    }  # fmt: skip
    if op.key is not None:
        found["key"] = op.key
    if op.error:
        found["error"] = op.error
    return found | more


REGISTRY: Registry[Checker] = Registry(__name__, Checker, "checker")  # type: ignore[type-abstract]  # the family's base
