from collections.abc import Sequence
from dataclasses import dataclass

from engine.faults._dns import _DnsFault
from engine.host.name_server import NXDOMAIN, SERVFAIL, SILENCE, Harm
from engine.parameters import param


@dataclass(frozen=True)
class DnsFailure(_DnsFault):
    """Lets names not be found: a name server of ours is asked in the place of the real ones, as root.

    libc reads resolv.conf anew when it has changed. A program with a resolver or a cache of its own, and
    a host that asks systemd-resolved past resolv.conf, may not notice.
    """

    mode: str = param(
        SERVFAIL, choices=(SERVFAIL, NXDOMAIN, SILENCE),
        help="whether the server says that it failed, that there is no such name, or nothing at all",
    )  # fmt: skip

    def line(self, nodes: Sequence[str]) -> str:
        how = {
            SERVFAIL: "fail the name look-ups",
            NXDOMAIN: "deny the names",
            SILENCE: "swallow the name look-ups",
        }
        return f"{how[self.mode]} of {self.whom(list(nodes))}"

    def harm(self) -> Harm:
        return Harm(self.names, answer=self.mode)
