"""Pods of a Kubernetes cluster. The API says what is there; nothing is kept on the board's side.

Nothing in plain Kubernetes takes a network policy, a cordon, a number of replicas or what a command did
back by itself: the warden does. Where the board's host is dead, `python -m engine heal` does on another
host that has its state directory, or anybody who looks for our mark: see `_kubernetes_marks`. Only Chaos
Mesh holds a lease of its own, and only for the absolute end of a fault.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine import capabilities
from engine.capabilities import Captured, ReadBack
from engine.drivers import Driver
from engine.drivers import _kubernetes_chaos as chaos
from engine.drivers import _kubernetes_exec as commands
from engine.drivers import _kubernetes_network as network
from engine.drivers import _kubernetes_nodes as nodes
from engine.drivers import _kubernetes_pods as pods
from engine.drivers import _kubernetes_return as coming_back
from engine.drivers import _kubernetes_scale as scaling
from engine.drivers._kubernetes_answers import Object
from engine.drivers._kubernetes_api import Api, lacking
from engine.errors import EngineError, Refused
from engine.parameters import param
from engine.target import Node

REMEMBERS = 10.0  # seconds for which an answer to `cannot` is good: a page asks it for many nodes at once
_known: dict[tuple[Any, ...], tuple[float, str]] = {}
_COMES_BACK = (("get", "pods"), ("list", "pods"), ("delete", "pods"))
RIGHTS: dict[type, tuple[tuple[str, str], ...]] = {  # verb and resource, in the namespace; nodes have none
    capabilities.Kill: _COMES_BACK,
    capabilities.Restart: (*_COMES_BACK, ("watch", "pods")),
    capabilities.Evict: (("get", "pods"), ("list", "pods"), ("create", "pods/eviction")),
    capabilities.Isolate: (
        ("list", "pods"), ("patch", "pods"), ("list", "networkpolicies"), ("create", "networkpolicies"),
        ("delete", "networkpolicies"),
    ),
    capabilities.Cordon: (("get", "nodes"), ("patch", "nodes")),
    capabilities.Exec: (  # a websocket is opened by a GET, for which older clusters ask one right, newer ones both
        ("get", "pods"), ("patch", "pods"), ("get", "pods/exec"), ("create", "pods/exec"),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Kubernetes(Driver):
    """A pod of a Kubernetes cluster. Say in one way which one it is: by name, label selector or workload."""

    namespace: str = param("default", help="the namespace in which the pod is")
    pod: str = param("", help="the pod's name, as that of a StatefulSet, which it keeps")
    selector: str = param("", help="a label selector that picks it, as in app=web,tier=front")
    workload: str = param("", help="the workload that runs it, as in deployment/web or statefulset/db")
    index: int = param(
        0, help="which one, where there are several: counted from 0, the eldest first", least=0
    )
    container: str = param("", help="the container in which commands are run; the pod's first if empty")
    context: str = param("", help="the context in the kubeconfig file; its current one if empty")
    kubeconfig: str = param(
        "", help="the kubeconfig file; if empty, the cluster it runs in, else ~/.kube/config"
    )

    def __post_init__(self) -> None:
        ways = {"pod": self.pod, "selector": self.selector, "workload": self.workload}
        given = [name for name, value in ways.items() if value]
        if len(given) > 1:
            raise ValueError(f"says in {len(given)} ways which pod is meant ({', '.join(given)}); give one")
        kind, slash, name = self.workload.partition("/")
        if self.workload and (kind not in pods.PLURALS or not slash or not name):
            raise ValueError(f"{self.workload!r} is no workload; write deployment/web or statefulset/db")
        if not self.namespace:
            raise ValueError("needs a namespace; the usual one is called default")

    def _api(self, *, quick: bool = False) -> Api:
        return Api(self.kubeconfig, self.context, quick=quick)

    def _find(self, api: Api, node: Node) -> Object:
        if not (self.pod or self.selector or self.workload):
            return pods.find(api, self.namespace, node.name, "", "", 0)
        return pods.find(api, self.namespace, self.pod, self.selector, self.workload, self.index)

    def _victim(self, api: Api, node: Node) -> Object:
        """The pod, where it may be hurt; raises Refused or Unreachable."""
        if why := pods.protected(self.namespace):
            raise Refused(why)
        pod = self._find(api, node)
        if why := pods.refusal(pod):
            raise Refused(why)
        return pod

    def refusal(self, node: Node) -> str:
        try:
            self._victim(self._api(quick=True), node)
        except EngineError as error:
            return str(error)
        return ""

    def victim(self, node: Node) -> str:
        try:
            pod = self._find(self._api(quick=True), node)
        except EngineError:
            return ""
        return f"pod {pod['metadata']['name']} in namespace {self.namespace}"

    def cannot(self, capability: type) -> str:
        key = (self.kubeconfig, self.context, self.namespace, self.workload.partition("/")[0], capability)
        asked, why = _known.get(key, (-REMEMBERS, ""))
        if time.monotonic() - asked > REMEMBERS:
            why = self._cannot(capability)
            _known[key] = (time.monotonic(), why)
        return why

    def _cannot(self, capability: type) -> str:
        try:
            api = self._api(quick=True)
            if capability is capabilities.Apply and (why := chaos.missing(api)):
                return why
            return lacking(api, [
                (verb, what, "" if what == "nodes" else self.namespace) for verb, what in self._rights(capability)
            ])  # fmt: skip
        except EngineError as error:
            return str(error)

    def _rights(self, capability: type) -> tuple[tuple[str, str], ...]:
        if capability is capabilities.Scale:
            kinds = (
                [pods.PLURALS[self.workload.partition("/")[0]]] if self.workload else pods.PLURALS.values()
            )
            return tuple((verb, what) for kind in kinds
                         for verb, what in (("get", kind), ("patch", kind), ("patch", f"{kind}/scale")))  # fmt: skip
        return RIGHTS.get(capability, ())

    # Kill, Restart, Evict

    def capture(self, node: Node) -> Captured:
        api = self._api()
        return coming_back.capture(api, self._victim(api, node))

    def signal(self, captured: Captured, signal: str) -> None:
        coming_back.end(self._api(), captured, signal)

    def stop(self, captured: Captured, grace: float) -> None:
        coming_back.stop(self._api(), captured, grace)

    def evict(self, captured: Captured) -> None:
        nodes.evict(self._api(), captured)

    def start(self, node: Node, captured: Captured) -> None:
        coming_back.start(self._api(), captured)

    def running(self, node: Node, captured: Captured) -> ReadBack:
        return coming_back.running(self._api(), captured)

    # Isolate

    def capture_networks(self, node: Node) -> Captured:
        api = self._api()
        return network.capture(api, self._victim(api, node))

    def isolate(self, captured: Captured, mark: str) -> None:
        network.isolate(self._api(), captured, mark)

    def rejoin(self, captured: Captured, mark: str) -> None:
        network.rejoin(self._api(), captured, mark)

    def rejoined(self, captured: Captured, mark: str) -> ReadBack:
        return network.rejoined(self._api(), captured, mark)

    # Scale

    def capture_scale(self, node: Node) -> Captured:
        api = self._api()
        return scaling.capture(api, self._victim(api, node))

    def scale(self, captured: Captured, mark: str, replicas: int, until: float) -> None:
        scaling.scale(self._api(), captured, mark, replicas, until)

    def unscale(self, captured: Captured, mark: str) -> None:
        scaling.unscale(self._api(), captured, mark)

    def unscaled(self, captured: Captured, mark: str) -> ReadBack:
        return scaling.unscaled(self._api(), captured, mark)

    # Cordon

    def capture_cordon(self, node: Node, drain: bool) -> Captured:
        api = self._api()
        return nodes.capture(api, self._victim(api, node), drain)

    def cordon(self, captured: Captured, mark: str, until: float) -> None:
        nodes.cordon(self._api(), captured, mark, until)

    def uncordon(self, captured: Captured, mark: str) -> None:
        nodes.uncordon(self._api(), captured, mark)

    def uncordoned(self, captured: Captured, mark: str) -> ReadBack:
        return nodes.uncordoned(self._api(), captured, mark)

    # Exec

    def capture_exec(self, node: Node) -> Captured:
        api = self._api()
        return commands.capture(self._victim(api, node), self.container)

    def execute(
        self, captured: Captured, mark: str, command: Sequence[str], undo: Sequence[str], seconds: float
    ) -> str:
        return commands.execute(self._api(), captured, mark, command, undo, seconds)

    def unexecute(self, captured: Captured, mark: str, undo: Sequence[str], seconds: float) -> None:
        commands.unexecute(self._api(), captured, mark, undo, seconds)

    def unexecuted(self, captured: Captured, mark: str) -> ReadBack:
        return commands.unexecuted(self._api(), captured, mark)

    # Apply

    def capture_resource(self, node: Node, resource: Mapping[str, Any]) -> Captured:
        api = self._api()
        return chaos.capture(api, self._victim(api, node), resource)

    def apply(self, captured: Captured, mark: str, until: float) -> None:
        chaos.apply(self._api(), captured, mark, until)

    def withdraw(self, captured: Captured, mark: str) -> None:
        chaos.withdraw(self._api(), captured, mark)

    def withdrawn(self, captured: Captured, mark: str) -> ReadBack:
        return chaos.withdrawn(self._api(), captured, mark)
