"""Checkers judge a history: was what clients saw possible for a correct system?"""

from dataclasses import dataclass

from engine.history import History
from engine.registry import Registry
from engine.verdict import Judgement


@dataclass(frozen=True)
class Checker:
    """The base of all checkers."""

    def check(self, history: History) -> Judgement:
        """HELD, VIOLATED with findings, or UNKNOWN where the history does not tell."""
        raise NotImplementedError


REGISTRY: Registry[Checker] = Registry(__name__, Checker, "checker")
