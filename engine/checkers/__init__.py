"""Checkers judge a history: was every answer one that a correct system could have given?"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from engine.history import History
from engine.registry import Registry
from engine.verdict import Judgement


@dataclass(frozen=True)
class Checker(ABC):
    @abstractmethod
    def check(self, history: History) -> Judgement:
        """Times in the findings are the history's own: monotonic ns."""


REGISTRY: Registry[Checker] = Registry(__name__, Checker, "checker")  # type: ignore[type-abstract]  # the family's base
