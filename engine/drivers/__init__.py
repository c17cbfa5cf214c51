"""Drivers: how a node is reached and manipulated.

A driver offers capabilities by having their methods. `captured` is what a capability needs to act
and to take back, a JSON mapping: it is stored in the undo record before anything is done, and may
be used by another process, on another day.
"""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

from engine.errors import BadInput, EngineError, Refused
from engine.parameters import build, param
from engine.registry import Registry
from engine.target import Node
from engine.text import listed

Captured = dict[str, Any]
Needs = type | tuple[type, ...]  # one capability, or several that one driver must offer together


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


@runtime_checkable
class Host(Protocol):
    """The node's host is the one on which this code runs: its files, mounts and processes are at hand."""

    def host(self) -> str: ...


@runtime_checkable
class Family(Protocol):
    """The node is processes of this host: the main one first, then its descendants."""

    def capture(self, node: Node) -> Captured: ...
    def family(self, captured: Captured) -> list[dict[str, int]]: ...


@runtime_checkable
class Wrap(Protocol):
    """Stop a node, and start it again in other surroundings: changed variables, a command before its own.

    In `environ`, None takes a variable away. `start` (of Restart) starts it as it was.
    """

    def capture(self, node: Node) -> Captured: ...
    def stop(self, captured: Captured, grace: float) -> None: ...
    def start(self, node: Node, captured: Captured) -> None: ...
    def start_in(
        self, node: Node, captured: Captured, environ: Mapping[str, str | None], before: Sequence[str]
    ) -> None: ...
    def running(self, node: Node, captured: Captured) -> ReadBack: ...


@runtime_checkable
class Limit(Protocol):
    """Take computing time or memory from a node, and give it back.

    `cpu` is in processors (0.2 is a fifth of one), `memory` in bytes; None leaves it as it is.
    """

    def capture_limits(self, node: Node) -> Captured: ...
    def limit(self, captured: Captured, mark: str, cpu: float | None, memory: int | None) -> None: ...
    def unlimit(self, captured: Captured, mark: str) -> None: ...
    def unlimited(self, captured: Captured, mark: str) -> ReadBack: ...


@runtime_checkable
class Isolate(Protocol):
    """Take a node off all its networks, and put it back."""

    def capture_networks(self, node: Node) -> Captured: ...
    def isolate(self, captured: Captured, mark: str) -> None: ...
    def rejoin(self, captured: Captured, mark: str) -> None: ...
    def rejoined(self, captured: Captured, mark: str) -> ReadBack: ...


@runtime_checkable
class Evict(Protocol):
    """Ask the cluster to move a node away, as for maintenance: it may say no. What replaces it is awaited."""

    def capture(self, node: Node) -> Captured: ...
    def evict(self, captured: Captured) -> None: ...
    def start(self, node: Node, captured: Captured) -> None: ...
    def running(self, node: Node, captured: Captured) -> ReadBack: ...


@runtime_checkable
class Scale(Protocol):
    """Run another number of the copies to which a node belongs, and as many as before again."""

    def capture_scale(self, node: Node) -> Captured: ...
    def scale(self, captured: Captured, mark: str, replicas: int, until: float) -> None: ...
    def unscale(self, captured: Captured, mark: str) -> None: ...
    def unscaled(self, captured: Captured, mark: str) -> ReadBack: ...


@runtime_checkable
class Cordon(Protocol):
    """Close the machine of a node to what is started anew, and open it again; `drain` empties it too."""

    def capture_cordon(self, node: Node, drain: bool) -> Captured: ...
    def cordon(self, captured: Captured, mark: str, until: float) -> None: ...
    def uncordon(self, captured: Captured, mark: str) -> None: ...
    def uncordoned(self, captured: Captured, mark: str) -> ReadBack: ...


@runtime_checkable
class Exec(Protocol):
    """Run a command inside a node, and the one that takes it back. `seconds` is how long one may take."""

    def capture_exec(self, node: Node) -> Captured: ...
    def execute(
        self, captured: Captured, mark: str, command: Sequence[str], undo: Sequence[str], seconds: float
    ) -> str: ...
    def unexecute(self, captured: Captured, mark: str, undo: Sequence[str], seconds: float) -> None: ...
    def unexecuted(self, captured: Captured, mark: str) -> ReadBack: ...


@runtime_checkable
class Apply(Protocol):
    """Let the cluster's own chaos operator hurt a node: `resource` is {kind, spec}, without selector and end."""

    def capture_resource(self, node: Node, resource: Mapping[str, Any]) -> Captured: ...
    def apply(self, captured: Captured, mark: str, until: float) -> None: ...
    def withdraw(self, captured: Captured, mark: str) -> None: ...
    def withdrawn(self, captured: Captured, mark: str) -> ReadBack: ...


@runtime_checkable
class Lead(Protocol):
    """Pass the lead of a service on to another of its nodes, and say who leads.

    `to` names who is to lead ("": anybody); `back` says that `hand_back` is wanted too.
    """

    def capture_lead(self, node: Node, to: str, back: bool) -> Captured: ...
    def hand_over(self, captured: Captured) -> str: ...
    def hand_back(self, captured: Captured) -> None: ...
    def led(self, captured: Captured) -> ReadBack: ...


@runtime_checkable
class Members(Protocol):
    """Let a member join a service that never comes, and take it out again."""

    def capture_members(self, node: Node) -> Captured: ...
    def add_member(self, captured: Captured, mark: str) -> None: ...
    def remove_member(self, captured: Captured, mark: str) -> None: ...
    def removed(self, captured: Captured, mark: str) -> ReadBack: ...


@runtime_checkable
class Follow(Protocol):
    """Take a replica from its primary, so that it goes its own way, and give it back."""

    def capture_following(self, node: Node) -> Captured: ...
    def detach(self, captured: Captured) -> str: ...
    def attach(self, captured: Captured) -> None: ...
    def follows(self, captured: Captured) -> ReadBack: ...


@runtime_checkable
class Act(Protocol):
    """Call functions that others wrote, by name: a call is {"function": "module.name", "arguments": {…}}.

    `capture_act` raises Refused where one of the calls could not be made. `look` returns whether what the
    function returned is within a tolerance, and what it was.
    """

    def capture_act(self, node: Node, calls: Sequence[dict[str, Any]]) -> Captured: ...
    def call(self, captured: Captured, call: dict[str, Any], mark: str = "") -> None: ...
    def look(self, captured: Captured, call: dict[str, Any], tolerance: Any) -> tuple[bool, Any]: ...


WORDS: dict[type, str] = {
    Kill: "kill", Pause: "pause", Restart: "restart", Network: "disturb the link of",
    Host: "work on the host of", Family: "find the processes of", Wrap: "change the surroundings of",
    Limit: "limit the resources of", Isolate: "take the networks of",
    Evict: "evict", Scale: "scale", Cordon: "close the machine of", Exec: "run a command in",
    Apply: "apply a chaos resource to",
    Lead: "pass on the lead of", Members: "change the members of", Follow: "detach",
    Act: "call actions on",
}  # fmt: skip


@dataclass(frozen=True)
class Driver:
    """The base of all drivers. `chosen` is False for those that come with a node: by its address, or by
    the kind of its service, where `kinds` says so."""

    chosen: ClassVar[bool] = True
    kinds: ClassVar[tuple[str, ...]] = ()

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

    def refusal(self, node: Node) -> str:
        """Why the node must not be hurt, or cannot be found; "" where it can be."""
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
        return build(REGISTRY.get(name, "local"), params, f"local.{name}").offers(capability)

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

    def prepare_far(self, record: Any, seconds: float, together: bool) -> None:
        """`record` is the UndoRecord here; there it gets one of the same id."""
        told = {"id": record.id, "run": record.run, "step": record.step, "fault": record.fault,
                "params": record.params, "seconds": seconds, "together": together}  # fmt: skip
        _, params = next(iter(record.node["driver"].items()))
        node = {**record.node, "driver": params["local"], "upstream": ""}
        self.ask({"do": "prepare", "record": told, "node": node})

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
    return build(REGISTRY.get(node.control, "driver"), node.control_params, f"driver.{node.control}")


def drivers_of(node: Node) -> list[tuple[str, Driver]]:
    """All drivers that act on `node`: the one that controls it, those of its kind, the proxy on its link."""
    found: list[tuple[str, Driver]] = []
    if (own := control(node)) is not None:
        found.append((node.control, own))
    found += [(name, cls()) for name, cls in REGISTRY if node.kind in cls.kinds and name != node.control]
    if node.upstream and node.control != "link":
        found.append(("link", REGISTRY.get("link")()))
    return found


def having(node: Node, needs: Needs) -> tuple[str, Driver]:
    """The driver of `node` that offers all of `needs`, with its name; raises Refused saying why none does."""
    wanted = needs if isinstance(needs, tuple) else (needs,)
    why = ""
    for name, driver in drivers_of(node):
        if all(driver.offers(capability) for capability in wanted):
            why = next(filter(None, map(driver.cannot, wanted)), "")
            if not why:
                return name, driver
    raise Refused(*((f"{node.name}: {why}", "") if why else _why_not(node, wanted)))


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
    kinds = sorted({kind for name in offering(wanted) for kind in REGISTRY.get(name).kinds})
    if kinds:
        return f"{node.name} has no command for it.", f"It is there for services of kind {listed(kinds)}."
    if not node.control:
        return f"Nothing controls {node.name}.", "Choose a driver for it, such as process with a pid file."
    what = listed([WORDS.get(capability, "do this to") for capability in wanted])
    return f"The {node.control} driver of {node.name} cannot {what} it.", ""


def offering(needs: Needs) -> list[str]:
    """The names of the drivers that offer all of `needs`, on some machine."""
    wanted = needs if isinstance(needs, tuple) else (needs,)
    methods = [name for one in wanted for name in vars(one) if not name.startswith("_")]
    return [name for name, cls in REGISTRY if all(hasattr(cls, method) for method in methods)]
