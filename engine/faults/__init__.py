"""Faults: one kind of harm each, and its removal.

`inject` may be interrupted at any instant: what `capture` returned is on disk by then, and `heal`
needs nothing else. `heal` is idempotent; `read_back` looks at the system, never at our records.
"""

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from engine import blast
from engine.capabilities import Captured, Needs, ReadBack
from engine.drivers import lacks
from engine.parameters import param
from engine.registry import Registry
from engine.target import Node, Target
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

    # Whom it hits: before anything happens, and at the moment of injection

    def wants(self) -> Needs:
        """`needs`, as far as the parameters make it narrower."""
        return self.needs

    def needs_leader(self) -> bool:
        return blast.needs_leader(self.nodes)

    def most(self, target: Target) -> int:
        """The most nodes that it can hurt at once; raises Refused where it cannot be done on `target`."""
        return self.at_once(blast.most(self.nodes, target))

    def sure_of(self, target: Target) -> set[str]:
        """The names of the nodes that it is certain to hit."""
        return blast.named(self.nodes, target)

    def may_hit(self, target: Target) -> list[Node]:
        """The nodes that it may come to act on, and could."""
        return blast.eligible(self.nodes, target)

    def impossible(self, target: Target) -> list[str]:
        """Why no driver of its nodes could carry it; none where all could."""
        return sorted({why for node in self.may_hit(target) if (why := lacks(node, self.wants()))})

    def rehearse(self, target: Target) -> None:  # noqa: B027 - most have nothing to look at
        """Looks, before anything is hurt, whether it would be refused; raises Refused or Unreachable."""

    def announced(self, target: Target) -> str:
        """What it will do to whom, before that is known: `kill the leader`."""
        return self.line([blast.candidates(self.nodes, target)])

    def aim(self, target: Target, leader: str | None, dice: random.Random) -> "Aim":
        """Whom it hits now; `leader` is who leads, None where nobody does. Raises Refused."""
        names = blast.resolve(self.nodes, target, leader, dice)
        pieces = [Piece(target.node(name), self, others(target, [name])) for name in names]
        return Aim(tuple(pieces), tuple(names), tuple(names))

    @abstractmethod
    def line(self, nodes: Sequence[str]) -> str:
        """What it does to `nodes`, in a few words."""

    def capture(self, driver: Any, node: Node) -> Captured:
        """What `heal` will need; raises Refused or Unreachable where the node must or can not be hurt."""
        return dict(driver.capture(node))

    def capture_among(self, driver: Any, node: Node, peers: Sequence[Node]) -> Captured:
        """As `capture`; `peers` are the other nodes that it is about, see `Piece`."""
        return self.capture(driver, node)

    def line_among(self, node: Node, peers: Sequence[Node]) -> str:
        """What it does to `node`, in a few words."""
        return self.line([node.name])

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


@dataclass(frozen=True)
class Piece:
    """A fault as it is on one node; `peers` are the nodes that it hurts this one's exchange with, where it does."""

    node: Node
    fault: Fault
    peers: tuple[Node, ...] = ()


@dataclass(frozen=True)
class Aim:
    """What a fault hits, resolved once for all of it: `down` are those of its nodes that count as hurt.

    `links` are ordered pairs (from, to) of nodes between which nothing passes, where it is about links.
    """

    pieces: tuple[Piece, ...]
    nodes: tuple[str, ...]
    down: tuple[str, ...]
    links: tuple[tuple[str, str], ...] = ()


def others(target: Target, names: Sequence[str]) -> tuple[Node, ...]:
    return tuple(node for node in target.nodes if node.name not in names)


REGISTRY: Registry[Fault] = Registry(__name__, Fault, "fault")  # type: ignore[type-abstract]  # the family's base
__all__ = ["REGISTRY", "Fault", "listed"]
