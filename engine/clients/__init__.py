"""Clients: how a workload uses one kind of system.

A client file is named like the kind of target that it speaks to. What it can keep (`set`, …) and
the operations on that are agreed with the workloads by name. Nothing is ever sent twice: retries
would hide what the system did.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from engine.registry import Registry
from engine.target import Target
from engine.wire import NotSent, WireError

LIFETIME = 24 * 3600  # seconds after which the system forgets what a dead load process left in it


class Failed(Exception):
    """The operation certainly did not happen."""


class Unknown(Exception):
    """Nobody knows whether it happened, or whether it will yet."""


def ended(error: WireError) -> Failed | Unknown:
    return Failed(str(error)) if isinstance(error, NotSent) else Unknown(str(error))


class Session(ABC):
    """One client's connections. It carries one operation at a time, and may be cancelled."""

    @abstractmethod
    async def call(self, f: str, value: Any) -> Any:
        """The answer; raises Failed or Unknown.

        Cancelled while it has certainly done nothing yet, it raises Failed instead.
        """

    @abstractmethod
    async def close(self) -> None: ...


class Kept(ABC):
    """One object of the run in the system, under a key that is the run's own."""

    @abstractmethod
    def session(self, number: int) -> Session: ...

    @abstractmethod
    async def prepare(self) -> None:
        """Before the first session; raises Failed or Unknown."""

    @abstractmethod
    async def remove(self) -> None:
        """Takes all of it out of the system again; raises Failed or Unknown."""


@dataclass(frozen=True)
class Client(ABC):
    keeps: ClassVar[frozenset[str]]

    @abstractmethod
    def open(self, target: Target, what: str, key: str) -> Kept:
        """`what` is one of `keeps`."""


REGISTRY: Registry[Client] = Registry(__name__, Client, "client")  # type: ignore[type-abstract]  # the family's base
