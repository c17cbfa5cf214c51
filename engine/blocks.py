"""Events as columns before they have codes: numbers, and texts of which each distinct one is there once."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.columns import Ints

NUMBERS = ("index", "time", "process", "version")
TEXTS = ("type", "f", "error", "node")
EITHER = ("key", "value")  # numbers in one history, texts in another


@dataclass(frozen=True)
class Whole:
    """Whole numbers; `there` is None where every event has one."""

    numbers: Ints
    there: NDArray[np.bool_] | None


@dataclass(frozen=True)
class Texts:
    """`code` is the place of each in `distinct`, -1 where there is none."""

    code: Ints
    distinct: list[str]


Column = Whole | Texts


@dataclass(frozen=True)
class Block:
    """So many events; a column is None where none of them has it."""

    count: int
    numbers: dict[str, Whole | None]  # of NUMBERS
    texts: dict[str, Texts | None]  # of TEXTS
    either: dict[str, Column | None]  # of EITHER

    @classmethod
    def of(cls, count: int, found: "dict[str, Column | None]") -> "Block":
        """Fields that are not there are in no event."""
        return cls(count, *({name: found.get(name) for name in names} for names in (NUMBERS, TEXTS, EITHER)))  # type: ignore[arg-type]  # each name has its own kind


def numbers(array: Any) -> Whole | None:
    """Of an Arrow array of int64."""
    if array.null_count == len(array):
        return None
    there = array.is_valid().to_numpy(zero_copy_only=False) if array.null_count else None
    return Whole((array.fill_null(0) if array.null_count else array).to_numpy(), there)


def texts(coded: Any) -> Texts | None:
    """Of an Arrow array of texts with a dictionary."""
    if coded.null_count == len(coded):
        return None
    code = (coded.indices.fill_null(-1) if coded.null_count else coded.indices).to_numpy()
    return Texts(code.astype(np.int64), coded.dictionary.to_pylist())


def whole(chunks: Any) -> Any:
    """The one Arrow array of a column that was read at once."""
    import pyarrow as pa

    array = chunks.combine_chunks()
    return array.chunk(0) if isinstance(array, pa.ChunkedArray) else array
