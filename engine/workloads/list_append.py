from dataclasses import dataclass
from typing import ClassVar

from engine.workloads._transactions import Transactions


@dataclass(frozen=True)
class ListAppend(Transactions):
    """Transactions that append to lists and read them: which anomalies are there, and what isolation is that?"""

    keeps: ClassVar[str] = "list-append"
    checkers: ClassVar[tuple[str, ...]] = ("list-append",)
    WRITE: ClassVar[str] = "append"
