"""What a workload asks of a client, and what the client answers."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

PLACEMENTS = ("failover", "rotate", "pinned")
READ_FROM = ("leader", "replicas")
MISMATCH = "mismatch"  # the error of a cas that was answered "not equal": a read of another value


class Call(NamedTuple):
    """One operation: its name, what it is given, and the object that it is about; None where there is one."""

    f: str
    value: Any = None
    key: str | None = None


class Answer(NamedTuple):
    """`version` is the number that the store gave to what was read or written, where it tells one."""

    value: Any
    version: int | None = None


@dataclass(frozen=True)
class Use:
    """What of a system is used: `what` is kept, under a `prefix` that is the run's own.

    `keys` are the objects, where they are known before; `given` is what each holds at first.
    """

    what: str
    prefix: str
    placement: str = "failover"
    read_from: str = "leader"
    keys: tuple[str, ...] = ()
    given: dict[str, int] = field(default_factory=dict)


class Place:
    """Which of the nodes a client turns to."""

    def __init__(self, nodes: int, number: int, placement: str) -> None:
        self.nodes, self.placement = nodes, placement
        self.at = number % nodes

    def next(self) -> int:
        if self.placement == "rotate":
            self.at = (self.at + 1) % self.nodes
        return self.at

    def failed(self) -> None:
        """It did not answer well: the next one is taken, unless the client is pinned to it."""
        if self.placement == "failover":
            self.at = (self.at + 1) % self.nodes
