"""Clients: how a workload uses one kind of system.

A client file is named like the kind of target that it speaks to; its fields are its options. What it can keep
(`set`, `register`, …) and the operations on that are agreed with the workloads by name. Nothing is ever sent
twice: retries would hide what the system did.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from engine.calls import Answer, Call, Use
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

    asked: str = ""  # the name of the node that was asked last

    @abstractmethod
    async def call(self, call: Call) -> Answer:
        """The answer; raises Failed or Unknown.

        Cancelled while it has certainly done nothing yet, it raises Failed instead.
        """

    @abstractmethod
    async def close(self) -> None: ...


class Kept(ABC):
    """What of a run is in the system, under a prefix that is the run's own."""

    @abstractmethod
    def session(self, number: int, *, last: bool = False) -> Session:
        """`last`: it reads what is there when all others have ended, where that is known best."""

    @abstractmethod
    async def prepare(self) -> None:
        """Before the first session; may be repeated; raises Failed or Unknown."""

    @abstractmethod
    async def remove(self) -> None:
        """Takes all of it out of the system again; raises Failed or Unknown."""


@dataclass(frozen=True)
class Client(ABC):
    keeps: ClassVar[frozenset[str]]
    replicas: ClassVar[str] = ""  # why it cannot read from replicas; "" where it can

    @abstractmethod
    def open(self, target: Target, use: Use) -> Kept:
        """`use.what` is one of `keeps`, and `cannot` gives no reason."""

    def cannot(self, use: Use) -> str:
        """Why it cannot be used so, in words; "" where it can."""
        if use.read_from == "replicas":
            return self.replicas
        return ""


REGISTRY: Registry[Client] = Registry(__name__, Client, "client")  # type: ignore[type-abstract]  # the family's base
