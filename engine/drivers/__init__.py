"""Drivers: how a node is reached and manipulated.

A driver offers capabilities by having their methods. `captured` is what a capability needs to act
and to take back, a JSON mapping: it is stored in the undo record before anything is done, and may
be used by another process, on another day.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

from engine.errors import BadInput, EngineError, Refused
from engine.parameters import build
from engine.registry import Registry
from engine.target import Node

Captured = dict[str, Any]


@dataclass(frozen=True)
class ReadBack:
    """What the system shows after healing: `gone` is None where it could not be read."""

    gone: bool | None
    text: str


@runtime_checkable
class Kill(Protocol):
    """End a node by a signal, and start it again."""

    def capture(self, node: Node) -> Captured: ...
    def signal(self, captured: Captured, signal: str) -> None: ...
    def start(self, node: Node, captured: Captured) -> None: ...
    def running(self, node: Node, captured: Captured) -> ReadBack: ...


@runtime_checkable
class Pause(Protocol):
    """Freeze a node where it stands, and let it go on."""

    def capture(self, node: Node) -> Captured: ...
    def pause(self, captured: Captured) -> None: ...
    def unpause(self, captured: Captured) -> None: ...
    def unpaused(self, captured: Captured) -> ReadBack: ...


@runtime_checkable
class Restart(Protocol):
    """Stop a node in good order, by force after `grace` seconds, and start it again."""

    def capture(self, node: Node) -> Captured: ...
    def stop(self, captured: Captured, grace: float) -> None: ...
    def start(self, node: Node, captured: Captured) -> None: ...
    def running(self, node: Node, captured: Captured) -> ReadBack: ...


@runtime_checkable
class Network(Protocol):
    """Disturb what clients send to a node; `mark` names the disturbance, `until` is epoch seconds."""

    def disturb(self, node: Node, mark: str, how: dict[str, Any], until: float) -> None: ...
    def clear(self, node: Node, mark: str) -> None: ...
    def cleared(self, node: Node, mark: str) -> ReadBack: ...


WORDS: dict[type, str] = {Kill: "kill", Pause: "pause", Restart: "restart", Network: "disturb the link of"}


@dataclass(frozen=True)
class Driver:
    """The base of all drivers. `chosen` is False for those that come with a node's address."""

    chosen: ClassVar[bool] = True

    def prepare(self, node: Node) -> bool:
        """Makes the node ready to be used, where that is the driver's task; True where it did something."""
        return False

    def release(self, node: Node) -> None:
        """Takes back what `prepare` did."""

    def refusal(self, node: Node) -> str:
        """Why the node must not be hurt, or cannot be found; "" where it can be."""
        return ""

    def victim(self, node: Node) -> str:
        """What would be hurt, in words: `pid 4711, etcd --name n1`; "" where nothing is found."""
        return ""


REGISTRY: Registry[Driver] = Registry(__name__, Driver, "driver")


def control(node: Node) -> Driver | None:
    """The driver that controls `node`; None where it can only be looked at. Raises BadInput."""
    if not node.control:
        return None
    return build(REGISTRY.get(node.control, "driver"), node.control_params, f"driver.{node.control}")


def drivers_of(node: Node) -> list[tuple[str, Driver]]:
    """All drivers that act on `node`: the one that controls it, and the proxy on its link."""
    found: list[tuple[str, Driver]] = []
    if (own := control(node)) is not None:
        found.append((node.control, own))
    if node.upstream and node.control != "link":
        found.append(("link", REGISTRY.get("link")()))
    return found


def having(node: Node, capability: type) -> tuple[str, Driver]:
    """The driver of `node` that offers `capability`, with its name; raises Refused saying why none does."""
    for name, driver in drivers_of(node):
        if isinstance(driver, capability):
            return name, driver
    raise Refused(*_why_not(node, capability))


def lacks(node: Node, capability: type) -> str:
    """Why no driver of `node` offers `capability`; "" where one does."""
    try:
        having(node, capability)
    except (BadInput, EngineError) as error:
        return str(error)
    return ""


def _why_not(node: Node, capability: type) -> tuple[str, str]:
    if capability is Network:
        return (
            f"{node.name} has no link that could be disturbed.",
            "Give it an upstream address: chaosboard then listens on its address and forwards.",
        )
    if not node.control:
        return f"Nothing controls {node.name}.", "Choose a driver for it, such as process with a pid file."
    return f"The {node.control} driver of {node.name} cannot {WORDS.get(capability, 'do this')}.", ""
