"""Probes look at a node and never touch it (but for a write of a key that carries chaosboard's mark)."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from engine.parameters import param
from engine.registry import Registry
from engine.samples import Status
from engine.target import Node
from engine.wire import Lost, Overload, WireError

MARK = "chaosboard"


class Reading(NamedTuple):
    """What one look saw; `error` says in words why it was not good."""

    ok: bool
    error: str = ""
    why: Status = Status.BAD
    by: str = ""  # which server gave a good answer, where a balancer chose it and the answer tells

    @property
    def status(self) -> Status:
        return Status.OK if self.ok else self.why


GOOD = Reading(True)


def failed(error: WireError | OSError) -> Reading:
    """The reading of a look that got no answer."""
    return Reading(False, str(error), Status.OVERLOAD if isinstance(error, Overload) else Status.CONNECTION)


class View(NamedTuple):
    """Who a node says it is, and whom it takes for the leader; identities, not node names."""

    me: str
    leader: str | None
    term: int | None = None  # of the leadership, where the system counts them
    position: int | None = None  # in the log that is replicated, in bytes, where the system tells it


class Session(ABC):
    """Looks at one node over kept connections."""

    @abstractmethod
    async def look(self) -> Reading:
        """Never raises: what goes wrong is the reading. Whoever calls it keeps the time."""

    async def version(self) -> str:
        """What runs there, as `valkey 9.1.2`; "" where it does not tell. Raises WireError."""
        return ""

    @abstractmethod
    async def close(self) -> None: ...


class Leads(ABC):
    """What a session can also do where the system has a leader."""

    @abstractmethod
    async def view(self) -> View:
        """Raises WireError where the node does not answer."""


def joining() -> Any:
    """The parameter `nodes` of a probe; see `Probe.joins`."""
    return param("any", choices=("any", "all"), help="how many nodes must be good for the service to be")


@dataclass(frozen=True)
class Probe(ABC):
    leads: ClassVar[bool] = False  # sessions also are `Leads`

    @property
    def joins(self) -> str:
        """How nodes become one reading of the service: `any` good node is enough, or `all` must be."""
        return str(getattr(self, "nodes", "any"))

    @classmethod
    def reach(cls) -> "Probe":
        """The gentlest look: is a system of this kind there at all, whatever state it is in?"""
        return cls()

    @abstractmethod
    def session(self, node: Node) -> Session: ...


REGISTRY: Registry[Probe] = Registry("engine.probes", Probe, "probe")  # type: ignore[type-abstract]  # the family's base
__all__ = ["GOOD", "MARK", "REGISTRY", "Leads", "Lost", "Probe", "Reading", "Session", "View", "failed"]
