"""Faults: one kind of harm each, and its removal.

`inject` may be interrupted at any instant: what `capture` returned is on disk by then, and `heal`
needs nothing else. `heal` is idempotent; `read_back` looks at the system, never at our records.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from engine.drivers import Captured, ReadBack
from engine.parameters import param
from engine.registry import Registry
from engine.target import Node
from engine.text import listed


@dataclass(frozen=True)
class Fault:
    """The base of all faults; `needs` is the driver's capability without which it cannot be."""

    nodes: list[str] = param(
        ["one"],
        help="whom it hits: leader, followers, one, minority, majority, all, a share such as 50%, or names",
    )

    needs: ClassVar[type]

    def line(self, nodes: Sequence[str]) -> str:
        """What it does to `nodes`, in a few words."""
        raise NotImplementedError

    def capture(self, driver: Any, node: Node) -> Captured:
        """What `heal` will need; raises Refused or Unreachable where the node must or can not be hurt."""
        return dict(driver.capture(node))

    def inject(self, driver: Any, node: Node, captured: Captured, mark: str, until: float) -> None:
        """Hurts the node. `mark` names this injection, `until` (epoch seconds) is its absolute end."""
        raise NotImplementedError

    def heal(self, driver: Any, node: Node, captured: Captured, mark: str) -> None:
        raise NotImplementedError

    def read_back(self, driver: Any, node: Node, captured: Captured, mark: str) -> ReadBack:
        raise NotImplementedError


REGISTRY: Registry[Fault] = Registry(__name__, Fault, "fault")
__all__ = ["REGISTRY", "Fault", "listed"]
