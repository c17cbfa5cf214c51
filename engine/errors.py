"""What can go wrong, in words for the person at the dashboard.

EngineError          message and remedy
├── BadInput         one or more problems with what was written, each with its place
├── Refused          it could be done, but must not be: the safety contract says no
└── Unreachable      the system did not answer, or is not there
"""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


class EngineError(Exception):
    """A failure whose text is fit to be shown: it names the thing and the remedy."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(f"{message} {remedy}".strip())
        self.message = message
        self.remedy = remedy


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with an input.

    `where` is the path of the field, joined by dots (`faults.0.kill.nodes`); `line` is its line in
    the file, counted from 1, or None where there is no file.
    """

    where: str
    message: str
    line: int | None = None

    def __str__(self) -> str:
        place = f"line {self.line}, {self.where}" if self.line else self.where
        return f"{place}: {self.message}" if place else self.message


class BadInput(EngineError):
    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class Refused(EngineError):
    pass


class Unreachable(EngineError):
    pass


def there_are(name: object, known: Iterable[str]) -> str:
    """What to say of a name that is not `known`: those that are, and which of them it resembles."""
    names = list(known)
    near = difflib.get_close_matches(str(name).replace("_", "-").lower(), names, 1, 0.7)
    near = near or difflib.get_close_matches(str(name), names, 1, 0.7)
    return f"there are: {', '.join(names) or 'none'}" + (f"; did you mean {near[0]!r}?" if near else "")
