"""The systems that the lab brings up: each is one file, and says what it needs and when it serves."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from engine.lab.programs import Program
from engine.lab.server import Server
from engine.lab.site import Site
from engine.parameters import param
from engine.registry import Registry

if TYPE_CHECKING:
    from engine.lab.cluster import Cluster


@dataclass(frozen=True)
class System(ABC):
    """`kinds` names the probe of each of its groups of servers; "" is the group that clients use."""

    kinds: ClassVar[Mapping[str, str]]
    needs: ClassVar[tuple[Program, ...]]
    linked: ClassVar[str]  # what link proxies are put between, in words

    nodes: int = param(3, help="how many nodes", least=1, most=9)

    @property
    def seats(self) -> int:
        """How many places it needs."""
        return self.nodes

    @property
    def names(self) -> list[str]:
        return [f"n{i + 1}" for i in range(self.nodes)]

    @classmethod
    def missing(cls) -> list[Program]:
        """What this machine has not."""
        return [program for program in cls.needs if not program.find()]

    @abstractmethod
    def lay_out(self, site: Site) -> list[Server]:
        """Makes its directories and its configuration; raises CannotRun where a program is missing."""

    def form(self, cluster: "Cluster") -> None:
        """Starts the servers that were laid out, and waits until they serve."""
        cluster.launch(cluster.servers)
        cluster.wait()

    @abstractmethod
    def ready(self, cluster: "Cluster") -> bool:
        """Whether all of it serves."""


REGISTRY: Registry[System] = Registry("engine.lab.systems", System, "system")  # type: ignore[type-abstract]  # the family's base
