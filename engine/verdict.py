"""Three verdicts; the worst wins."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from enum import IntEnum
from typing import Any


class Verdict(IntEnum):
    """Ordered so that `max` is the worst. The value is not the exit status: see `exit_status`."""

    HELD = 0
    UNKNOWN = 1
    VIOLATED = 2

    @property
    def word(self) -> str:
        return self.name.lower()

    @property
    def exit_status(self) -> int:
        return {Verdict.HELD: 0, Verdict.VIOLATED: 1, Verdict.UNKNOWN: 2}[self]

    @classmethod
    def of(cls, word: str) -> "Verdict":
        return cls[word.upper()]


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The worst of all judgements; without any, UNKNOWN: nothing was tested."""
    return max(verdicts, default=Verdict.UNKNOWN)


@dataclass(frozen=True)
class Judgement:
    """What one expectation or checker found: `expected` and `measured` are texts with units.

    One that is not `counted` is told, and has no part in the verdict of its run.
    """

    name: str
    verdict: Verdict
    headline: str
    expected: str = ""
    measured: str = ""
    findings: list[dict[str, Any]] = field(default_factory=list)
    counted: bool = True
    stories: list[dict[str, Any]] = field(default_factory=list)  # some findings in words: `engine.story`

    def to_dict(self) -> dict[str, Any]:
        found = {**asdict(self), "verdict": self.verdict.word}
        return found if self.stories else {k: v for k, v in found.items() if k != "stories"}
