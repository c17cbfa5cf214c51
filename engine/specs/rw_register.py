from dataclasses import dataclass
from typing import Any, ClassVar

from engine.specs.list_append import ListAppend as _ListAppend


@dataclass(frozen=True)
class RwRegister(_ListAppend):
    """Transactions on registers by key: w writes, r gives what was written last, null before the first write."""

    writes: ClassVar[str] = "w"

    def written(self, before: Any, value: Any) -> Any:
        return value

    def is_read(self, there: Any, value: Any) -> bool:
        return bool(there == value)
