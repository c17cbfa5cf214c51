from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine import units
from engine.faults import listed
from engine.faults._link import _ShapingFault
from engine.parameters import param


@dataclass(frozen=True)
class Latency(_ShapingFault):
    """Delays everything between clients and the node, or between it and its peers, in both directions."""

    delay: float = param(0.1, unit="duration", help="how much later everything arrives, each way", most=60.0)
    jitter: float = param(0.0, unit="duration", help="by how much the delay varies, up and down", most=60.0)

    distribution: str = param(
        "uniform",
        help="how the delay varies: uniform (as likely anywhere), normal (around the delay) or pareto "
        "(mostly less, rarely far more)",
        choices=("uniform", "normal", "pareto"),
    )

    def line(self, nodes: Sequence[str]) -> str:
        shape = "" if self.distribution == "uniform" else f" ({self.distribution})"
        jitter = f" ± {units.show(self.jitter, 'duration')}{shape}" if self.jitter else ""
        whom = listed(nodes) if self.between == "clients" else f"what passes {self.whose(listed(nodes))}"
        return f"delay {whom} by {units.show(self.delay, 'duration')}{jitter} each way"

    def how(self) -> dict[str, Any]:
        how: dict[str, Any] = {"delay": self.delay, "jitter": self.jitter}
        return how if self.distribution == "uniform" else {**how, "distribution": self.distribution}

    def packets(self) -> dict[str, Any]:
        return {"latency": self.delay, "jitter": self.jitter, "distribution": self.distribution}
