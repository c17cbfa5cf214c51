"""Reads a document piece by piece, and notes every problem with its place and its line."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from engine import document, units
from engine.document import Lines
from engine.errors import BadInput, Problem, there_are

LONGEST = 24 * 3600.0  # seconds that anything may last
T = TypeVar("T")


def shown(seconds: float) -> str:
    return units.show(seconds, "duration")


class Reader:
    """Collects every problem before it gives up, so that one look mends them all."""

    def __init__(self, lines: Lines) -> None:
        self.lines = lines
        self.problems: list[Problem] = []

    def bad(self, where: str, message: str) -> None:
        self.problems.append(Problem(where, message, document.line_of(self.lines, where)))

    def part(self, read: Callable[[], T], where: str = "") -> T | None:
        """What `read` gives, or None after noting its problems."""
        try:
            return read()
        except BadInput as error:
            for problem in error.problems:
                self.bad(problem.where or where, problem.message)
        except ValueError as error:
            self.bad(where, str(error))
        return None

    def mapping(self, data: object, where: str, keys: tuple[str, ...], extra: str = "") -> dict[str, Any]:
        if not isinstance(data, Mapping):
            self.bad(where, f"must be a mapping, not {data!r}")
            return {}
        for key in data:
            if keys and key not in keys:
                place = f"{where}.{key}" if where else str(key)
                self.bad(place, f"unknown key; {there_are(key, keys)}{extra}")
        return {str(key): value for key, value in data.items()}

    def items(self, data: object, where: str) -> list[tuple[str, Any]]:
        if data is None:
            return []
        if not isinstance(data, list | tuple):
            self.bad(where, "must be a list; begin each entry with a dash")
            return []
        return [(f"{where}.{i}", item) for i, item in enumerate(data)]

    def seconds(
        self, data: Mapping[str, Any], key: str, where: str, default: float, least: float = 0.0
    ) -> float:
        if key not in data:
            return default
        place = f"{where}.{key}" if where else key
        value = self.part(lambda: units.parse(data[key], "duration"), place)
        if value is None:
            return default
        if value < least:
            self.bad(place, f"{data[key]} is too short; at least {shown(least)}")
        if value > LONGEST:
            self.bad(place, f"{data[key]} is too long; at most {shown(LONGEST)}")
        return value

    def yes_no(self, value: object, where: str) -> bool:
        words = {"true": True, "yes": True, "false": False, "no": False, "none": False, "": False}
        if str(value).lower() not in words:
            self.bad(where, f"{value!r} is neither yes nor no")
        return words.get(str(value).lower(), False)

    def one_of(self, data: Mapping[str, Any], keys: tuple[str, ...], noun: str, where: str) -> str | None:
        """The one key of `data` that is not among `keys`."""
        names = [key for key in data if key not in keys]
        if len(names) == 1:
            return names[0]
        if names:
            self.bad(where, f"names {len(names)} of a {noun}: {', '.join(names)}; one entry holds one {noun}")
        else:
            self.bad(where, f"names no {noun}")
        return None
