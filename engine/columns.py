"""A history as numpy columns, one row an operation: what checkers work on."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
NEVER = np.iinfo(np.int64).max  # when an operation ended that never did
NONE = 0  # the code of null in every table
PLAIN = frozenset((int, str, type(None)))


@dataclass
class Table:
    """Values by their code. Equal plain values share a code; each list and object has one of its own."""

    values: list[Any] = field(default_factory=lambda: [None])
    opaque: list[int] = field(default_factory=list)  # the codes of lists and objects
    _codes: dict[Any, int] = field(default_factory=lambda: {None: NONE})

    def codes(self, found: Sequence[Any]) -> Ints:
        if not set(map(type, found)) <= PLAIN:
            return np.fromiter(map(self.code, found), np.int64, len(found))
        codes = self._codes
        try:
            return np.fromiter(map(codes.__getitem__, found), np.int64, len(found))
        except KeyError:
            new = [value for value in dict.fromkeys(found) if value not in codes]
            codes.update(zip(new, range(len(self.values), len(self.values) + len(new)), strict=True))
            self.values.extend(new)
            return np.fromiter(map(codes.__getitem__, found), np.int64, len(found))

    def code(self, value: Any) -> int:
        if isinstance(value, list | dict | tuple):
            self.opaque.append(len(self.values))
            self.values.append(value)
            return len(self.values) - 1
        name = (bool, value) if isinstance(value, bool) else value  # or else true would be 1
        if name not in self._codes:
            self._codes[name] = len(self.values)
            self.values.append(value)
        return self._codes[name]

    def known(self, value: Any) -> int:
        """The code of a plain value, or -1."""
        return self._codes.get((bool, value) if isinstance(value, bool) else value, -1)

    def __len__(self) -> int:
        return len(self.values)


class _Numbers:
    """null, then whole numbers in their order, then whatever else came. No number is made before it is asked for."""

    def __init__(self, low: int, high: int) -> None:
        self._range, self._more = range(low, high + 1), list[Any]()

    def __getitem__(self, at: int) -> Any:
        at = int(at) + (len(self) if at < 0 else 0)
        if at <= len(self._range):
            return self._range[at - 1] if at else None
        return self._more[at - 1 - len(self._range)]

    def __len__(self) -> int:
        return 1 + len(self._range) + len(self._more)

    def __iter__(self) -> Iterator[Any]:
        return chain([None], self._range, self._more)

    def append(self, value: Any) -> None:
        self._more.append(value)


class Span(Table):
    """A table that begins with every whole number from one to another, coded by their distance."""

    @classmethod
    def of(cls, low: int, high: int) -> "Span":
        found = cls(cast(list[Any], _Numbers(low, high)))
        found._low, found._high = low, high
        return found

    _low: int = 0
    _high: int = -1

    def codes(self, found: Sequence[Any]) -> Ints:
        return np.fromiter(map(self.code, found), np.int64, len(found))

    def code(self, value: Any) -> int:
        return value - self._low + 1 if self._has(value) else super().code(value)

    def known(self, value: Any) -> int:
        return value - self._low + 1 if self._has(value) else super().known(value)

    def _has(self, value: Any) -> bool:
        return type(value) is int and self._low <= value <= self._high


@dataclass(frozen=True)
class Columns:
    """Rows in the order of their calls. Times in monotonic ns; `result` is NONE where no answer came."""

    index: Ints
    process: Ints
    f: Ints
    key: Ints
    value: Ints
    result: Ints
    invoked: Ints
    completed: Ints  # NEVER where it did not end
    completed_index: Ints  # -1 where it did not end
    outcome: NDArray[np.int8]  # engine.samples.Outcome
    error: Ints
    fs: Table
    keys: Table
    values: Table
    errors: Table
    version: Ints | None = None  # of the object, as the store told it with an answer; -1 where it told none
    node: Ints | None = None  # codes of the node that was asked; None where the history names no node
    nodes: Table = field(default_factory=Table)

    def __len__(self) -> int:
        return len(self.index)

    def named(self, *names: str) -> NDArray[np.bool_]:
        """Which rows have one of these as their `f`."""
        found = np.zeros(len(self), bool)
        for name in names:
            if (code := self.fs.known(name)) >= 0:
                found |= self.f == code
        return found

    def names(self) -> set[str]:
        """The `f` that occur."""
        return {self.fs.values[code] for code in np.flatnonzero(np.bincount(self.f)).tolist()}


def column(values: Iterable[int]) -> Ints:
    return np.array(list(values), np.int64)
