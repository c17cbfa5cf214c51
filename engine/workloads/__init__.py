"""Workloads: clients that use a system while it is hurt, and the checker that judges what they saw."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from engine.history import History
from engine.parameters import param
from engine.registry import Registry

Call = tuple[str, Any]  # the operation's name and its value


@dataclass(frozen=True)
class Workload(ABC):
    """The base of all workloads; `keeps` is what a client of the system must be able to keep for it."""

    clients: int = param(4, help="how many clients use the system at once", least=1, most=1000)
    rate: float = param(
        100.0, unit="rate", help="operations started by all of them together", least=0.1, most=20_000
    )
    timeout: float = param(2.0, unit="duration", help="how long an answer is awaited", least=0.001, most=60)

    checker: ClassVar[str]
    keeps: ClassVar[str]
    last: ClassVar[Call | None] = None  # called when all others have ended, until it is answered

    @abstractmethod
    def line(self) -> str:
        """What it does, in a few words."""

    @abstractmethod
    def calls(self) -> Iterator[Call]:
        """What the clients do, one after the other; endless."""

    @abstractmethod
    def counts(self, history: History) -> dict[str, int | None]:
        """attempted, acknowledged, failed, unknown, read_back and lost operations; None where unknown."""


REGISTRY: Registry[Workload] = Registry(__name__, Workload, "workload")  # type: ignore[type-abstract]  # the family's base
