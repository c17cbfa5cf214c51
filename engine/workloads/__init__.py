"""Workloads: clients that use a system while it is hurt, and the checkers that judge what they saw."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any, ClassVar

from engine import units
from engine.calls import PLACEMENTS, READ_FROM, Call, Use
from engine.history import History
from engine.parameters import param
from engine.registry import Registry
from engine.text import count

Counts = dict[str, int | None]


@dataclass(frozen=True)
class Workload(ABC):
    """The base of all workloads; `keeps` is what a client of the system must be able to keep for it."""

    clients: int = param(4, help="how many clients use the system at once", least=1, most=1000)
    rate: float = param(
        100.0, unit="rate", help="operations started by all of them together", least=0.1, most=20_000
    )
    timeout: float = param(2.0, unit="duration", help="how long an answer is awaited", least=0.001, most=60)
    placement: str = param(
        "failover",
        choices=PLACEMENTS,
        help="failover: a client stays with its node while that answers well; rotate: each operation asks the "
        "next node; pinned: a client never leaves its node",
    )
    read_from: str = param(
        "leader",
        choices=READ_FROM,
        help="who answers reads; what replicas answer may be old, and is not held to be linearizable unless "
        "that is expected",
    )
    client: dict[str, Any] = param(
        {}, help="options of the target's client, as in {isolation: serializable} or {wait: 1}"
    )

    keeps: ClassVar[str]
    checkers: ClassVar[tuple[str, ...]]  # by their names; the first one is what it is for
    tells_lost: ClassVar[bool] = False  # does it show how many acknowledged changes are gone?

    @abstractmethod
    def does(self) -> str:
        """What its clients do, in a few words: `add elements to a set`."""

    @abstractmethod
    def calls(self, dice: Random) -> Iterator[Call]:
        """What the clients do, one after the other; endless."""

    def last(self) -> list[Call]:
        """What is read when all others have ended, each until it is answered."""
        return []

    def objects(self) -> tuple[str, ...]:
        """The keys of the objects, where they are known before."""
        return ()

    def given(self) -> dict[str, int]:
        """What each object holds at first."""
        return {}

    def line(self) -> str:
        where = "" if self.read_from == "leader" else ", reading from replicas"
        return f"{count(self.clients, 'client')} {self.does()}, {units.show(self.rate, 'rate')}{where}"

    def use(self, prefix: str) -> Use:
        return Use(self.keeps, prefix, self.placement, self.read_from, self.objects(), self.given())

    @abstractmethod
    def counts(self, history: History) -> Counts:
        """attempted, acknowledged, failed, unknown, read_back and lost operations; None where unknown."""


REGISTRY: Registry[Workload] = Registry(__name__, Workload, "workload")  # type: ignore[type-abstract]  # the family's base
