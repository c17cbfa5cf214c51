"""One direction of a link: the toxics on it, and what has passed."""

from typing import TYPE_CHECKING

from engine.proxy.toxics import Toxic

if TYPE_CHECKING:
    from engine.proxy.datagrams import DatagramFlow
    from engine.proxy.flow import Flow


class Side:
    """`stream` is upstream (from clients to the node) or downstream.

    `version` changes with the toxics: each flow sees by it that it must look at them again.
    """

    __slots__ = ("holding", "received", "sent", "stream", "toxics", "version")

    def __init__(self, stream: str) -> None:
        self.stream = stream
        self.toxics: list[Toxic] = []
        self.version = 0
        self.holding: set[Flow | DatagramFlow] = set()  # flows that hold something back, because of a cut
        self.received = self.sent = 0  # bytes

    def add(self, toxic: Toxic) -> None:
        self.toxics = [*self.toxics, toxic]
        self.version += 1

    def replace(self, old: Toxic, new: Toxic) -> None:
        self.toxics = [new if toxic is old else toxic for toxic in self.toxics]
        self.version += 1

    def remove(self, toxic: Toxic) -> None:
        self.toxics = [other for other in self.toxics if other is not toxic]
        self.version += 1

    def cut(self, opener: str | None) -> bool:
        """Whether nothing at all passes of what `opener` opens: then no new connection is made either."""
        return any(
            toxic.type == "cut" and toxic.toxicity >= 1 and toxic.meets(opener) for toxic in self.toxics
        )
