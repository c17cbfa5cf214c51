"""Faults: one kind of harm each, and its removal.

`inject` may be interrupted at any instant: what `capture` returned is on disk by then, and `heal`
needs nothing else. `heal` is idempotent; `read_back` looks at the system, never at our records.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from engine.drivers import Captured, ReadBack
from engine.parameters import param
from engine.registry import Registry
from engine.target import Node
from engine.text import listed


@dataclass(frozen=True)
class Fault(ABC):
    """The base of all faults; `needs` is the driver's capability without which it cannot be."""

    nodes: list[str] = param(
        ["one"],
        help="whom it hits: leader, followers, one, minority, majority, all, a share such as 50%, or names",
    )

    needs: ClassVar[type]

    @abstractmethod
    def line(self, nodes: Sequence[str]) -> str:
        """What it does to `nodes`, in a few words."""

    def capture(self, driver: Any, node: Node) -> Captured:
        """What `heal` will need; raises Refused or Unreachable where the node must or can not be hurt."""
        return dict(driver.capture(node))

    @abstractmethod
    def inject(self, driver: Any, node: Node, captured: Captured, mark: str, until: float) -> None:
        """Hurts the node. `mark` names this injection, `until` (epoch seconds) is its absolute end."""

    @abstractmethod
    def heal(self, driver: Any, node: Node, captured: Captured, mark: str) -> None:
        """Takes it back; twice is as good as once."""

    @abstractmethod
    def read_back(self, driver: Any, node: Node, captured: Captured, mark: str) -> ReadBack:
        """Looks at the system: is it gone?"""


REGISTRY: Registry[Fault] = Registry(__name__, Fault, "fault")  # type: ignore[type-abstract]  # the family's base
__all__ = ["REGISTRY", "Fault", "listed"]
