"""What the faults on a link have in common: only how they disturb it differs.

What passes between clients and a node is disturbed by the link proxy, where the node has one; between nodes, or
where it has none, packet by packet.
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from engine.capabilities import Captured, Either, Needs, Network, Packets, ReadBack, Shaping
from engine.drivers import having
from engine.errors import Refused
from engine.faults import Fault, others
from engine.parameters import param
from engine.target import Node, Target

BETWEEN = ("clients", "peers", "all")


@dataclass(frozen=True)
class _LinkFault(Fault):
    needs: ClassVar[Needs] = Network

    @abstractmethod
    def how(self) -> dict[str, Any]:
        """What the link is to do, as `engine.proxy` reads it."""

    def capture(self, driver: Any, node: Node) -> Captured:
        if why := driver.unable(node, self.how()):
            raise Refused(why)
        driver.prepare(node)
        return {}

    def inject(self, driver: Any, node: Node, captured: Captured, mark: str, until: float) -> None:
        driver.disturb(node, mark, self.how(), until)

    def unmovable(self, captured: Captured) -> str:
        return "Its packets are let through again by the kernel, at an end of its own." if captured else ""

    def prolong(self, driver: Any, node: Node, captured: Captured, mark: str, until: float) -> None:
        driver.disturb(node, mark, self.how(), until)  # in place of what the mark did before

    def heal(self, driver: Any, node: Node, captured: Captured, mark: str) -> None:
        driver.clear(node, mark)

    def read_back(self, driver: Any, node: Node, captured: Captured, mark: str) -> ReadBack:
        found: ReadBack = driver.cleared(node, mark)
        return found


@dataclass(frozen=True)
class _PacketFault(_LinkFault):
    """One that can be done to packets too: then `captured["packets"]` is what that needs."""

    between: str = param(
        "clients",
        help="between the node and whom: clients, peers (the other nodes of its service) or all of them; "
        "between nodes it takes a driver that disturbs packets, as those of the kernel and the lab",
        choices=BETWEEN,
    )
    needs: ClassVar[Needs] = Either((Network, Packets))

    @abstractmethod
    def packets(self) -> dict[str, Any]:
        """What is to happen to the packets, as `engine.capabilities.Packets` reads it."""

    def wants(self) -> Needs:
        if self.between == "clients" or not isinstance(self.needs, Either):
            return self.needs
        return self.needs.ways[-1]

    def capture_among(self, driver: Any, node: Node, peers: Sequence[Node]) -> Captured:
        if self.between == "clients" and isinstance(driver, Network):
            return self.capture(driver, node)
        if why := driver.unable(node, self.how()):
            raise Refused(why)
        captured = dict(driver.capture_packets(node, peers))
        if self.between == "peers" and (why := captured.get("alike")):
            raise Refused(why)
        return {"packets": captured}

    def rehearse(self, target: Target) -> None:
        if self.between == "peers":
            for node in self.may_hit(target):
                self.rehearse_at(node, others(target, [node.name]))

    def rehearse_at(self, node: Node, peers: Sequence[Node]) -> None:
        _, driver = having(node, self.wants())
        if isinstance(driver, Packets) and self.between == "peers":
            self.capture_among(driver, node, peers)

    def inject(self, driver: Any, node: Node, captured: Captured, mark: str, until: float) -> None:
        if "packets" not in captured:
            return super().inject(driver, node, captured, mark, until)
        how = {"direction": "both", **self.packets(), "between": self.between}
        driver.disturb_packets(captured["packets"], mark, how, until)

    def heal(self, driver: Any, node: Node, captured: Captured, mark: str) -> None:
        if "packets" not in captured:
            return super().heal(driver, node, captured, mark)
        driver.undisturb_packets(captured["packets"], mark)

    def read_back(self, driver: Any, node: Node, captured: Captured, mark: str) -> ReadBack:
        if "packets" not in captured:
            return super().read_back(driver, node, captured, mark)
        found: ReadBack = driver.undisturbed(captured["packets"], mark)
        return found

    def whose(self, nodes: str) -> str:
        """Between whom, in words."""
        return {
            "clients": f"between clients and {nodes}", "peers": f"between {nodes} and their peers",
            "all": f"to and from {nodes}",
        }[self.between]  # fmt: skip


@dataclass(frozen=True)
class _ShapingFault(_PacketFault):
    needs: ClassVar[Needs] = Either((Network, Shaping))
