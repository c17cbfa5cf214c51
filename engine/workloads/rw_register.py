from dataclasses import dataclass
from typing import ClassVar

from engine.workloads._transactions import Transactions


@dataclass(frozen=True)
class RwRegister(Transactions):
    """Transactions that write registers and read them: which anomalies are there, and what isolation is that?"""

    keeps: ClassVar[str] = "rw-register"
    checkers: ClassVar[tuple[str, ...]] = ("rw-register",)
    WRITE: ClassVar[str] = "w"
