from collections.abc import Sequence
from dataclasses import dataclass

from engine import units
from engine.faults._dns import _DnsFault
from engine.host.name_server import Harm
from engine.parameters import param


@dataclass(frozen=True)
class DnsDelay(_DnsFault):
    """Lets names be found late: a name server of ours is asked in the place of the real ones, as root.

    libc reads resolv.conf anew when it has changed. A program with a resolver or a cache of its own, and
    a host that asks systemd-resolved past resolv.conf, may not notice.
    """

    delay: float = param(1.0, unit="duration", help="how much later an answer comes", most=60.0)
    jitter: float = param(0.0, unit="duration", help="by how much the delay varies, up and down", most=60.0)

    def line(self, nodes: Sequence[str]) -> str:
        jitter = f" ± {units.show(self.jitter, 'duration')}" if self.jitter else ""
        return f"delay the name look-ups of {self.whom(list(nodes))} by {units.show(self.delay, 'duration')}{jitter}"

    def harm(self) -> Harm:
        return Harm(self.names, delay=self.delay, jitter=self.jitter)
