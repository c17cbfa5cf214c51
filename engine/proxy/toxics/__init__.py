"""Toxics: one kind of disturbance of a flow each, one file each.

A toxic is put on one direction of a link. For each flow that it applies to it has a stage of its own,
which is given what comes (`take`, `end`), and gives it on to the next one, changed, later or never.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from engine.registry import Registry

if TYPE_CHECKING:
    from engine.proxy.datagrams import DatagramFlow
    from engine.proxy.flow import Flow

ENOUGH = 8 << 20  # bytes that may wait in a flow; more wait in the sender's socket
Attributes = dict[str, Any]


class Taker(Protocol):
    def take(self, data: bytes) -> None: ...
    def end(self) -> None: ...


class Stage:
    """The base of all toxics: passes everything on."""

    attributes: ClassVar[Attributes] = {}  # by name, with their defaults; the type of the default is theirs
    beyond: ClassVar[Attributes] = {}  # those which Toxiproxy does not have
    streams: ClassVar[tuple[str, ...]] = ("upstream", "downstream")  # on which it can be
    carries: ClassVar[tuple[str, ...]] = ("tcp", "udp")  # the links on which it can be
    last: ClassVar[bool] = False  # comes after the others on its direction
    fixed: ClassVar[bool] = False  # belongs to the connection, not to a toxic
    holds: ClassVar[bool] = False  # the flow is neither read nor written
    enough: int = ENOUGH

    def __init__(self, flow: "Flow | DatagramFlow", toxic: "Toxic") -> None:
        self.flow, self.toxic = flow, toxic
        self.next: Taker = flow

    @classmethod
    def wrong(cls, attributes: Attributes) -> str:
        """What is wrong with the values; "" where they can be."""
        return ""

    def start(self, before: "Stage | None") -> None:
        """From now on it is in the chain; `before` is the stage of the same toxic before an update."""

    def take(self, data: bytes) -> None:
        self.next.take(data)

    def end(self) -> None:
        self.next.end()

    def release(self) -> None:
        """It leaves the chain: gives on at once what it holds."""
        self.stop()

    def stop(self) -> None:
        """Ends its timers, and lets go of what it holds."""


Kind = type[Stage]


@dataclass(eq=False, slots=True)
class Toxic:
    """One toxic on one direction of a link. `toxicity` is the share of connections that it applies to.

    `openers` are those whose connections it applies to, as `engine.proxy.openers` names them; None is everybody.
    """

    name: str
    type: str
    stream: str
    toxicity: float
    attributes: Attributes
    kind: Kind
    mark: str = ""  # of the disturbance it belongs to, where it was not made by the HTTP API
    until: float | None = None  # epoch seconds
    before: "Toxic | None" = None  # what it was before its last update
    openers: frozenset[str] | None = None

    def meets(self, opener: str | None) -> bool:
        """Whether it applies to what `opener` opened, as far as that is known."""
        return self.openers is None or opener in self.openers


REGISTRY: Registry[Stage] = Registry(__name__, Stage, "toxic")


def kind_of(type: str) -> type[Stage] | None:
    """The class of a toxic by the name that the HTTP API gives it."""
    name = type.replace("_", "-")
    return REGISTRY.get(name) if "-" not in type and name in REGISTRY else None
