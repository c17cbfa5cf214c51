"""Capabilities: what a driver can do to a node. A driver offers one by having its methods.

`captured` is what a capability needs to act and to take back, a JSON mapping: it is stored in the undo
record before anything is done, and may be used by another process, on another day.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from engine.target import Node

Captured = dict[str, Any]


@dataclass(frozen=True)
class Either:
    """Any of several ways will do, the first that there is."""

    ways: tuple[type, ...]


Needs = type | tuple[type, ...] | Either  # one capability, or several that one driver must offer together


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
class Packets(Protocol):
    """Disturb packet by packet what a node exchanges with others, whatever the protocol.

    `peers` are other nodes. `how["between"]` says what is meant: `peers` (what it exchanges with these),
    `clients` (with everybody but these) or `all` (with everybody); `how["direction"]` is `both`, `to-node` or
    `from-node`. What happens is {"cut": True}, or one or several of {"latency": seconds, "jitter": seconds,
    "distribution": "uniform|normal|pareto"}, {"loss": share}, {"duplicate": share}, {"reorder": share},
    {"corrupt": share} and {"rate": bytes a second}, with shares from 0 to 1. `until` is epoch seconds, and is
    enforced where the disturbance lives. Two disturbances of one node, by two marks, may be there at once.
    """

    def capture_packets(self, node: Node, peers: Sequence[Node]) -> Captured: ...
    def disturb_packets(self, captured: Captured, mark: str, how: dict[str, Any], until: float) -> None: ...
    def undisturb_packets(self, captured: Captured, mark: str) -> None: ...
    def undisturbed(self, captured: Captured, mark: str) -> ReadBack: ...


@runtime_checkable
class Shaping(Protocol):
    """As Packets, and `how` may be a latency, duplicates, reordering or corruption: what is held or changed.

    It has the same methods, but a driver may offer Packets where it cannot do this (a kernel without netem).
    """

    def capture_packets(self, node: Node, peers: Sequence[Node]) -> Captured: ...
    def disturb_packets(self, captured: Captured, mark: str, how: dict[str, Any], until: float) -> None: ...
    def undisturb_packets(self, captured: Captured, mark: str) -> None: ...
    def undisturbed(self, captured: Captured, mark: str) -> ReadBack: ...


@runtime_checkable
class Filter(Protocol):
    """As Packets, and a cut may be of single ports: {"cut": True, "ports": [2380], "answer": "reset"}.

    Meant are packets to and from these ports of the node, and between peers of either of them. `answer` is what a
    sender hears of a packet that is cut: `silence`, `reset` (TCP) or `unreachable` (ICMP). `tell_apart` raises
    Refused where such packets cannot be told from others, or would never be there; nothing is done then.
    """

    def capture_packets(self, node: Node, peers: Sequence[Node]) -> Captured: ...
    def tell_apart(self, captured: Captured, how: dict[str, Any]) -> None: ...
    def disturb_packets(self, captured: Captured, mark: str, how: dict[str, Any], until: float) -> None: ...
    def undisturb_packets(self, captured: Captured, mark: str) -> None: ...
    def undisturbed(self, captured: Captured, mark: str) -> ReadBack: ...


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
class Pids(Protocol):
    """The node's processes are seen on this host, the main one first; they are looked at, not touched."""

    def pids(self, node: Node) -> list[int]: ...


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

    `to` names who is to lead ("": anybody); `back` says that `hand_back` is wanted too. `settle` brings a
    passing on that was cut off to its end, or takes it back, in whatever process.
    """

    def capture_lead(self, node: Node, to: str, back: bool) -> Captured: ...
    def hand_over(self, captured: Captured) -> str: ...
    def settle(self, captured: Captured) -> None: ...
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
    Packets: "disturb the packets of", Filter: "cut single ports of", Shaping: "delay or change the packets of",
    Host: "work on the host of", Family: "find the processes of", Pids: "find the processes of",
    Wrap: "change the surroundings of",
    Limit: "limit the resources of", Isolate: "take the networks of",
    Evict: "evict", Scale: "scale", Cordon: "close the machine of", Exec: "run a command in",
    Apply: "apply a chaos resource to",
    Lead: "pass on the lead of", Members: "change the members of", Follow: "detach",
    Act: "call actions on",
}  # fmt: skip
