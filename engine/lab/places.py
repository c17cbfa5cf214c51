"""Where the nodes of a lab system run: each place has an address and a way to run a command there."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


class Place(Protocol):
    """One node's home. Its address is its own or, on loopback, shared with others."""

    @property
    def host(self) -> str:
        """The IP address on which a server there listens and by which its peers reach it."""

    def command(self, argv: Sequence[str]) -> tuple[str, ...]:
        """The same command, run in this place: its process ends with the pid that was started."""


@dataclass(frozen=True)
class Loopback:
    """This machine itself, at an address of its loopback network; needs no root."""

    host: str = "127.0.0.1"

    def command(self, argv: Sequence[str]) -> tuple[str, ...]:
        return tuple(argv)


def loopback(count: int) -> tuple[Loopback, ...]:
    """`count` places on one address: their servers differ by port."""
    return (Loopback(),) * count
