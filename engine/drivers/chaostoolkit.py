"""Nodes that are reached by the actions of Chaos Toolkit extensions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine import toolkit
from engine.drivers import Driver
from engine.parameters import param
from engine.target import Node


@dataclass(frozen=True)
class Chaostoolkit(Driver):
    """What an installed Chaos Toolkit extension reaches, by its actions. Allow them in CHAOSBOARD_ACTIONS."""

    timeout: float = param(20.0, unit="duration", help="how long one action may take", least=0.1, most=25)

    def cannot(self, capability: type) -> str:
        return toolkit.absent()

    def refusal(self, node: Node) -> str:
        return toolkit.absent()

    def victim(self, node: Node) -> str:
        return f"whatever the action is told of {node.name}"

    def capture_act(self, node: Node, calls: Sequence[toolkit.Call]) -> dict[str, Any]:
        host, _, port = node.address.rpartition(":")
        told = {"node": node.name, "address": node.address, "host": host, "port": port}
        toolkit.check(calls, told, self.timeout)
        return {"configuration": told}

    def call(self, captured: dict[str, Any], call: toolkit.Call, mark: str = "") -> None:
        toolkit.run(call, captured["configuration"], self.timeout, mark)

    def look(self, captured: dict[str, Any], call: toolkit.Call, tolerance: Any) -> tuple[bool, Any]:
        return toolkit.look(call, tolerance, captured["configuration"], self.timeout)
