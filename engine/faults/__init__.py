"""Faults: one kind of harm each, and its removal.

`inject` may be interrupted at any instant: what `capture` returned is on disk by then, and `heal`
needs nothing else. `heal` is idempotent; `read_back` looks at the system, never at our records.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from engine.capabilities import Captured, Needs, ReadBack
from engine.parameters import param
from engine.registry import Registry
from engine.target import Node
from engine.text import listed


@dataclass(frozen=True)
class Fault(ABC):
    """The base of all faults; `needs` is the driver's capabilities without which it cannot be."""

    nodes: list[str] = param(
        ["one"],
        help="whom it hits: leader, followers, one, minority, majority, all, a number, a share such as "
        "50%, at most a share such as <=50%, a tag such as tag:zone-a, or names",
    )

    needs: ClassVar[Needs]
    one_by_one: ClassVar[bool] = False  # hits its nodes one after another, not at once

    def at_once(self, nodes: int) -> int:
        """Of `nodes` that it hits, how many are hurt at the same time."""
        return min(nodes, 1) if self.one_by_one else nodes

    @abstractmethod
    def line(self, nodes: Sequence[str]) -> str:
        """What it does to `nodes`, in a few words."""

    def capture(self, driver: Any, node: Node) -> Captured:
        """What `heal` will need; raises Refused or Unreachable where the node must or can not be hurt."""
        return dict(driver.capture(node))

    @abstractmethod
    def inject(self, driver: Any, node: Node, captured: Captured, mark: str, until: float) -> str | None:
        """Hurts the node. `mark` names this injection, `until` (epoch seconds) is its absolute end.

        What it gives is a note of what came of it, to be told beside its line.
        """

    def act(self, driver: Any, node: Node, captured: Captured, alive: Callable[[], bool]) -> None:
        """What a process of ours does beside the node (see `engine.actor`) as long as `alive()`."""
        raise TypeError(f"{type(self).__name__} does not act")

    @abstractmethod
    def heal(self, driver: Any, node: Node, captured: Captured, mark: str) -> None:
        """Takes it back; twice is as good as once."""

    @abstractmethod
    def read_back(self, driver: Any, node: Node, captured: Captured, mark: str) -> ReadBack:
        """Looks at the system: is it gone?"""


REGISTRY: Registry[Fault] = Registry(__name__, Fault, "fault")  # type: ignore[type-abstract]  # the family's base
__all__ = ["REGISTRY", "Fault", "listed"]
