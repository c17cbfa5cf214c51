from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from engine.capabilities import Apply as CanApply
from engine.capabilities import Captured, ReadBack
from engine.faults import Fault, listed
from engine.parameters import param
from engine.target import Node

KINDS = ("PodChaos", "NetworkChaos", "IOChaos", "StressChaos", "TimeChaos", "DNSChaos", "HTTPChaos",
         "JVMChaos", "KernelChaos", "BlockChaos")  # fmt: skip  # those that hit pods, and end by themselves
OURS = ("selector", "mode", "value", "duration", "scheduler")  # of spec


@dataclass(frozen=True, kw_only=True)
class ChaosMesh(Fault):
    """Lets Chaos Mesh hurt the pod by one of its resources, which ends by itself and is deleted after."""

    resource: dict[str, Any] = param(
        help="the Chaos Mesh resource: {kind: NetworkChaos, spec: {action: delay, delay: {latency: 100ms}}}; "
        "its name, selector, mode and duration are set by chaosboard"
    )

    needs: ClassVar[type] = CanApply
    example: ClassVar[dict[str, Any]] = {"resource": {"kind": "PodChaos", "spec": {"action": "pod-failure"}}}

    def __post_init__(self) -> None:
        kind, spec = self.resource.get("kind"), self.resource.get("spec")
        if kind not in KINDS:
            raise ValueError(
                f"{kind!r} is no kind of Chaos Mesh that hits pods; there are {', '.join(KINDS)}"
            )
        if not isinstance(spec, Mapping) or not spec:
            raise ValueError(f"the {kind} needs its spec, as in {{action: pod-failure}}")
        if taken := [name for name in OURS if name in spec]:
            raise ValueError(
                f"leave {listed(taken)} out of spec: it hits the pod of the node, as long as the fault lasts"
            )
        extra = set(self.resource) - {"apiVersion", "kind", "metadata", "spec"}
        if extra:
            raise ValueError(
                f"{listed(sorted(extra))} is no part of a resource; there are kind, metadata and spec"
            )

    def line(self, nodes: Sequence[str]) -> str:
        spec = self.resource["spec"]
        action = f" ({spec['action']})" if spec.get("action") else ""
        return f"apply a {self.resource['kind']}{action} to {listed(nodes)}"

    def capture(self, driver: Any, node: Node) -> Captured:
        return dict(driver.capture_resource(node, self.resource))

    def inject(self, driver: Any, node: Node, captured: Captured, mark: str, until: float) -> None:
        driver.apply(captured, mark, until)

    def heal(self, driver: Any, node: Node, captured: Captured, mark: str) -> None:
        driver.withdraw(captured, mark)

    def read_back(self, driver: Any, node: Node, captured: Captured, mark: str) -> ReadBack:
        found: ReadBack = driver.withdrawn(captured, mark)
        return found
