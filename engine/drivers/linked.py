"""Processes of this host whose peers reach them through link proxies: topologies without root."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from engine import proxy, state
from engine.capabilities import Captured, ReadBack
from engine.drivers import control
from engine.drivers.link import Link
from engine.drivers.process import Process
from engine.errors import EngineError, Refused, Unreachable
from engine.parameters import param
from engine.target import Node, split_address

ARROW = "->"
CLIENTS = ""  # as the link proxy names whoever opens a connection and is no member
_TURNED = {"both": "both", "to-node": "from-node", "from-node": "to-node"}
_NAMES = {"latency": "delay"}  # of what happens to packets, as the link proxy calls it


@dataclass(frozen=True)
class Linked(Process):
    """A process of this host whose peers, too, come through link proxies. Whose a connection is, the kernel tells,
    so each pair of nodes can be disturbed without root."""

    example: ClassVar = {"pid_file": "/run/n1.pid", "doors": ["127.0.0.1:12380 -> 127.0.0.1:2380"]}

    doors: list[str] = param(
        [], help="where its peers reach it, and where it listens for them: 127.0.0.1:12380 -> 127.0.0.1:2380"
    )
    companions: list[str] = param([], help="pid files of other processes that count as the same node")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.doors:
            raise ValueError("doors says where its peers reach it; without, the process driver is enough")
        for listen, upstream in self._doors():
            split_address(listen)
            split_address(upstream)

    def _doors(self) -> Iterator[tuple[str, str]]:
        """(where the link proxy listens, where the node does)"""
        for door in self.doors:
            listen, _, upstream = door.partition(ARROW)
            yield listen.strip(), upstream.strip()

    def listens(self) -> list[str]:
        return [listen for listen, _ in self._doors()]

    def _foreign_port(self, node: Node, pid: int) -> str:
        """At its door it is the link proxy that listens: the node is behind it."""
        behind = dict(self._doors()).get(node.own_address)
        return super()._foreign_port(replace(node, upstream=behind) if behind else node, pid)

    def known_at(self) -> list[str]:
        return self.listens()

    def members(self, node: Node) -> list[str | int]:
        """How the link proxy is to know its processes, also those that are started in their place."""
        if self.pid_file or self.command:
            return [str(self._file()), *self.companions]
        return [self.find(node), *self.companions]

    def unable(self, node: Node, how: dict[str, Any]) -> str:
        return Link().unable(node, how)

    def prepare(self, node: Node) -> bool:
        """Opens the doors; True where something had to be started."""
        started = super().prepare(node)
        for listen, upstream in self._doors():
            if why := Link().refusal(Node(node.name, listen, upstream)):
                raise Refused(why)
            started |= proxy.ensure(state.root())
            proxy.call(state.root(), {"do": "open", "listen": listen, "upstream": upstream})
        return started

    def release(self, node: Node) -> None:
        for listen in self.listens():
            Link().release(Node(node.name, listen))
        super().release(node)

    # Capabilities: packets, shaping

    def capture_packets(self, node: Node, peers: Sequence[Node]) -> Captured:
        """Raises Refused where nobody can tell whose a connection is, Unreachable where nothing runs."""
        self.prepare(node)
        own = self.listens() + [node.address] * (bool(node.upstream) and node.address not in self.listens())
        found: dict[str, Any] = {
            "name": node.name, "own": own, "doors": self.listens(), "peers": {},
            "members": {node.name: self.members(node)},
        }  # fmt: skip
        for peer in peers:
            driver = control(peer)
            if not isinstance(driver, Linked):
                raise Refused(
                    f"{peer.name} has no doors, so what {node.name} sends it passes no link proxy.",
                    "Give it the linked driver too.",
                )
            driver.prepare(peer)
            found["peers"][peer.name] = driver.listens()
            found["members"][peer.name] = driver.members(peer)
        self._tell_apart(found)
        return found

    def _tell_apart(self, captured: Captured) -> None:
        for listen in (*captured["doors"], *_theirs(captured)):
            order = {"do": "tell_apart", "listen": listen, "members": captured["members"]}
            proxy.call(state.root(), order)

    def disturb_packets(self, captured: Captured, mark: str, how: dict[str, Any], until: float) -> None:
        between, way = how.get("between", "peers"), how.get("direction", "both")
        what = {
            _NAMES.get(key, key): value for key, value in how.items() if key not in ("between", "direction")
        }
        self._tell_apart(captured)  # a proxy that was started anew knows nobody
        for listen, openers in _openers(captured, between).items():
            turned = way if listen in captured["own"] else _TURNED[way]
            order = {"do": "disturb", "listen": listen, "mark": mark, "how": {**what, "direction": turned}}
            whose = {} if openers is None else {"openers": openers}
            proxy.call(state.root(), {**order, **whose, "until": until})

    def undisturb_packets(self, captured: Captured, mark: str) -> None:
        for listen in (*captured["own"], *_theirs(captured)):
            with suppress(EngineError):  # its link is closed, or the proxy is gone: what is left is read back
                proxy.call(state.root(), {"do": "clear", "listen": listen, "mark": mark})

    def undisturbed(self, captured: Captured, mark: str) -> ReadBack:
        left = []
        for listen in (*captured["own"], *_theirs(captured)):
            try:
                answer = proxy.call(state.root(), {"do": "read", "listen": listen})
            except proxy.Gone:
                return ReadBack(True, "the link proxy is gone, and its disturbances with it")
            except Unreachable as error:
                return ReadBack(None, str(error))
            except EngineError:
                continue  # the link is closed, and nothing is left on it
            left += [listen] * (mark in answer["marks"])
        if left:
            return ReadBack(False, f"the links {', '.join(left)} are still disturbed")
        return ReadBack(True, f"nothing of it is left on the links of {captured['name']} and its peers")


def _theirs(captured: Captured) -> list[str]:
    return [listen for doors in captured["peers"].values() for listen in doors]


def _openers(captured: Captured, between: str) -> dict[str, list[str] | None]:
    """By link: whose connections are meant; None is everybody's."""
    name, peers, doors = captured["name"], list(captured["peers"]), captured["doors"]
    at_doors = {"peers": peers, "clients": [CLIENTS], "all": [*peers, CLIENTS]}.get(between)
    if at_doors is None:
        raise EngineError(f"It is not known what is between {between!r}.")
    found: dict[str, list[str] | None] = dict.fromkeys(doors, at_doors)
    if between != "peers":
        found |= {listen: None for listen in captured["own"] if listen not in doors}
    if between != "clients":
        found |= {listen: [name] for listen in _theirs(captured)}
    return found
