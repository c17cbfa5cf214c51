"""The link between clients and a node, carried by the link proxy of this host."""

import socket
from dataclasses import dataclass
from typing import Any, ClassVar

from engine import processes, proxy, state
from engine.capabilities import ReadBack
from engine.drivers import Driver
from engine.errors import EngineError, Refused, Unreachable
from engine.target import Node, split_address


@dataclass(frozen=True)
class Link(Driver):
    """Comes with a node's upstream address: clients reach its address, the proxy forwards."""

    chosen: ClassVar[bool] = False

    def refusal(self, node: Node) -> str:
        """Why the proxy cannot listen on the node's address; "" where it can, or does."""
        host, port = split_address(node.address)
        if node.address == node.own_address:
            return f"{node.name} has its own address as upstream; the proxy would forward to itself."
        if not processes.is_local(host):
            return f"{host} is not this host; the link proxy can only listen here."
        try:
            mine = node.address in proxy.call(state.root(), {"do": "hello"})["links"]
        except Unreachable:
            mine = False
        if mine:
            return ""
        if node.protocol == "udp":
            return _in_use(host, port)
        if pid := processes.holder(port):
            return f"Port {port} is held by {processes.describe(pid)}; the link proxy cannot listen on it."
        return ""

    def unable(self, node: Node, how: dict[str, Any]) -> str:
        from engine.proxy import disturbance

        for toxic in disturbance.toxics("", how, 0):
            if node.protocol not in toxic.kind.carries:
                return (
                    f"{toxic.type.replace('_', '-')} is for links of {toxic.kind.carries[0].upper()}, "
                    f"and {node.name} is reached by {node.protocol.upper()}."
                )
        return ""

    def victim(self, node: Node) -> str:
        return f"the link {node.address} → {node.upstream}"

    def prepare(self, node: Node) -> bool:
        """Opens the link; True where the proxy had to be started for it."""
        if why := self.refusal(node):
            raise Refused(why)
        started = proxy.ensure(state.root())
        proxy.call(state.root(), {"do": "open", "listen": node.address, "upstream": node.upstream})
        return started

    def release(self, node: Node) -> None:
        try:
            proxy.call(state.root(), {"do": "close", "listen": node.address})
        except EngineError:
            return  # no proxy, no link

    def disturb(self, node: Node, mark: str, how: dict[str, Any], until: float) -> None:
        message = {"do": "disturb", "listen": node.address, "mark": mark, "how": how, "until": until}
        proxy.call(state.root(), message)

    def clear(self, node: Node, mark: str) -> None:
        try:
            proxy.call(state.root(), {"do": "clear", "listen": node.address, "mark": mark})
        except Unreachable:
            return  # the disturbance lives in the proxy and died with it

    def cleared(self, node: Node, mark: str) -> ReadBack:
        try:
            marks = proxy.call(state.root(), {"do": "read", "listen": node.address})["marks"]
        except proxy.Gone:
            return ReadBack(True, "the proxy is gone, and its disturbances with it")
        except Unreachable as error:
            return ReadBack(None, str(error))
        except EngineError:
            return ReadBack(True, "the link is closed, and nothing is left on it")
        if mark in marks:
            return ReadBack(False, f"the link {node.address} is still disturbed")
        return ReadBack(True, f"nothing of it is left on the link {node.address}")


def _in_use(host: str, port: int) -> str:
    """Why no datagrams can be taken there; "" where they can."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as one:
            one.bind((host, port))
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        return f"The link proxy cannot take datagrams on {host}:{port}: {why}."
    return ""
