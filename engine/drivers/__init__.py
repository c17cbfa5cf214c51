"""Drivers: how a node is reached, and by which of them a fault is carried."""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from engine.capabilities import WORDS, Either, Filter, Needs, Network, ReadBack
from engine.errors import BadInput, EngineError, Problem, Refused
from engine.parameters import build, param
from engine.registry import Registry
from engine.target import Node
from engine.text import listed


@dataclass(frozen=True)
class Driver:
    """The base of all drivers. `chosen` is False for those that come with a node: by its address, by the
    kind of its service, where `kinds` says so, or beside the drivers that `beside` names."""

    chosen: ClassVar[bool] = True
    kinds: ClassVar[tuple[str, ...]] = ()
    beside: ClassVar[tuple[str, ...]] = ()

    def offers(self, capability: type) -> bool:
        """Whether nodes of this driver have the capability at all."""
        return isinstance(self, capability)

    def cannot(self, capability: type) -> str:
        """Why a capability that it offers is of no use here (no root, no engine, …); "" where it is."""
        return ""

    def prepare(self, node: Node) -> bool:
        """Makes the node ready to be used, where that is the driver's task; True where it did something."""
        return False

    def release(self, node: Node) -> None:
        """Takes back what `prepare` did."""

    def known_at(self) -> list[str]:
        """Addresses by which its peers may know the node, beside its own."""
        return []

    def refusal(self, node: Node) -> str:
        """Why the node must not be hurt, or cannot be found; "" where it can be."""
        return ""

    def unable(self, node: Node, how: dict[str, Any]) -> str:
        """Why the link of `node` cannot be disturbed so, where the driver disturbs links; "" where it can be."""
        return ""

    def victim(self, node: Node) -> str:
        """What would be hurt, in words: `pid 4711, etcd --name n1`; "" where nothing is found."""
        return ""


ANSWERS_WITHIN = {  # seconds: to hurt and to heal is to wait for processes, to look is not
    "inject": 30.0, "heal": 30.0, "hello": 3.0, "refusal": 5.0, "victim": 5.0,
}  # fmt: skip


def patience(message: dict[str, Any]) -> float:
    """How many seconds another host may take to answer `message`."""
    return ANSWERS_WITHIN.get(message["do"], 10.0)


@dataclass(frozen=True)
class Carrier(Driver, ABC):
    """Reaches another host on which the same engine acts, with its own undo records, leases and warden.

    `local` names the driver that controls the node there. What is asked of a fault here is asked there,
    under the same record id; `engine.far` answers.
    """

    local: dict[str, Any] = param(help="how the node is controlled on that host: {process: {pid_file: …}}")

    def __post_init__(self) -> None:
        if len(self.local) != 1:
            raise ValueError("local must name one driver, as in {process: {pid_file: /run/it.pid}}")

    @abstractmethod
    def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        """The far engine's answer. Raises Unreachable where none comes, or the error that it told."""

    @abstractmethod
    def tell(self, message: dict[str, Any]) -> None:
        """As `ask`, but waits for nothing and complains of nothing."""

    def offers(self, capability: type) -> bool:
        name, params = next(iter(self.local.items()))
        there = Node("", "", control=name, control_params=params)
        return any(driver.offers(capability) for _, driver in drivers_of(there))

    def far_node(self, node: Node) -> dict[str, Any]:
        return {**node.to_dict(), "driver": self.local, "upstream": "", "kind": node.kind}

    def refusal(self, node: Node) -> str:
        try:
            return str(self.ask({"do": "refusal", "node": self.far_node(node)})["why"])
        except EngineError as error:
            return str(error)

    def victim(self, node: Node) -> str:
        try:
            return str(self.ask({"do": "victim", "node": self.far_node(node)})["what"])
        except EngineError:
            return ""

    def prepare(self, node: Node) -> bool:
        return bool(self.ask({"do": "ready", "node": self.far_node(node)})["started"])

    def release(self, node: Node) -> None:
        with contextlib.suppress(EngineError):  # it is asked again when it is used again
            self.ask({"do": "release", "node": self.far_node(node)})

    def prepare_far(self, record: Any, seconds: float, together: bool, peers: Sequence[Node] = ()) -> None:
        """`record` is the UndoRecord here; there it gets one of the same id."""
        told = {"id": record.id, "run": record.run, "step": record.step, "fault": record.fault,
                "params": record.params, "seconds": seconds, "together": together}  # fmt: skip
        _, params = next(iter(record.node["driver"].items()))
        node = {**record.node, "driver": params["local"], "upstream": ""}
        seen = [{"name": peer.name, "address": peer.upstream or peer.address} for peer in peers]
        self.ask({"do": "prepare", "record": told, "node": node, "peers": seen})

    def inject_far(self, id: str) -> None:
        self.ask({"do": "inject", "id": id})

    def renew_far(self, id: str) -> None:
        self.tell({"do": "renew", "id": id})

    def look_far(self, id: str) -> ReadBack:
        found = self.ask({"do": "look", "id": id})
        return ReadBack(found["gone"], found["text"])

    def heal_far(self, record: Any) -> ReadBack:
        """Raises Unreachable where the host does not answer: then its own warden heals, unseen from here."""
        found = self.ask({"do": "heal", "id": record.id})
        if found.get("unknown") and not record.captured:
            return ReadBack(True, "its host had not been asked to do anything yet")
        return ReadBack(found["gone"], found["text"])


REGISTRY: Registry[Driver] = Registry(__name__, Driver, "driver")


def control(node: Node) -> Driver | None:
    """The driver that controls `node`; None where it can only be looked at. Raises BadInput."""
    if not node.control:
        return None
    found, place = REGISTRY.get(node.control, "driver"), f"driver.{node.control}"
    if found.beside:
        why = (
            f"is not named: it comes by itself with a node that one of these controls: {listed(found.beside)}"
        )
        raise BadInput([Problem(place, why)])
    return build(found, node.control_params, place)


def addresses(node: Node) -> list[str]:
    """All by which members may know `node`: each of them may tell of it by another one."""
    try:
        own = control(node)
    except BadInput:
        own = None
    found = [node.address, node.upstream, *(own.known_at() if own else ())]
    return [address.replace("localhost:", "127.0.0.1:") for address in found if address]


def drivers_of(node: Node) -> list[tuple[str, Driver]]:
    """All drivers that act on `node`: the one that controls it, those of its kind, the proxy on its link."""
    found: list[tuple[str, Driver]] = []
    if (own := control(node)) is not None:
        found.append((node.control, own))
    found += [(name, cls()) for name, cls in REGISTRY if node.kind in cls.kinds and name != node.control]
    found += [(name, cls()) for name, cls in REGISTRY if node.control in cls.beside]
    if node.upstream and node.control != "link":
        found.append(("link", REGISTRY.get("link")()))
    return found


def having(node: Node, needs: Needs) -> tuple[str, Driver]:
    """The driver of `node` that offers all of `needs`, with its name; raises Refused saying why none does."""
    why = ""
    for wanted in _ways(needs):
        for name, driver in drivers_of(node):
            if all(driver.offers(capability) for capability in wanted):
                why = next(filter(None, map(driver.cannot, wanted)), "")
                if not why:
                    return name, driver
    raise Refused(*((f"{node.name}: {why}", "") if why else _why_not(node, _ways(needs)[0])))


def _ways(needs: Needs) -> list[tuple[type, ...]]:
    if isinstance(needs, Either):
        return [(way,) for way in needs.ways]
    return [needs if isinstance(needs, tuple) else (needs,)]


def lacks(node: Node, needs: Needs) -> str:
    """Why no driver of `node` offers `needs`; "" where one does."""
    try:
        having(node, needs)
    except (BadInput, EngineError) as error:
        return str(error)
    return ""


def _why_not(node: Node, wanted: tuple[type, ...]) -> tuple[str, str]:
    if wanted == (Network,):
        return (
            f"{node.name} has no link that could be disturbed.",
            "Give it an upstream address: chaosboard then listens on its address and forwards.",
        )
    if wanted == (Filter,):
        return (
            f"Single ports of {node.name} are cut, and what is cut is answered, only by the kernel of its host: "
            "a link proxy and the switch of a lab know no ports.",
            "Choose a driver that knows its processes, such as process, or leave out ports and answer.",
        )
    kinds = sorted({kind for name in offering(wanted) for kind in REGISTRY.get(name).kinds})
    if kinds:
        return f"{node.name} has no command for it.", f"It is there for services of kind {listed(kinds)}."
    if not node.control:
        return f"Nothing controls {node.name}.", "Choose a driver for it, such as process with a pid file."
    what = listed([WORDS.get(capability, "do this to") for capability in wanted])
    return f"The {node.control} driver of {node.name} cannot {what} it.", ""


def offering(needs: Needs) -> list[str]:
    """The names of the drivers that offer all of `needs`, on some machine."""
    ways = [
        [name for one in wanted for name in vars(one) if not name.startswith("_")] for wanted in _ways(needs)
    ]
    return [
        name for name, cls in REGISTRY if any(all(hasattr(cls, method) for method in way) for way in ways)
    ]
