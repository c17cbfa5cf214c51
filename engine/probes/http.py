from dataclasses import dataclass

from engine.parameters import param
from engine.probes import GOOD, Probe, Reading, Session, failed, joining
from engine.target import Node
from engine.wire import WireError
from engine.wire.http import Http as Pool
from engine.wire.http import encode


@dataclass(frozen=True)
class Http(Probe):
    """Asks for a page and reads the status, and the text if one is expected."""

    path: str = param("/", help="what to ask for")
    status: int | None = param(
        None, help="the status that is good; any 2xx or 3xx if empty", least=100, most=599
    )
    method: str = param("GET", choices=("GET", "HEAD", "OPTIONS"), help="how to ask")
    contains: str = param("", help="a text that the answer must contain")
    connections: int = param(64, help="how many connections are kept to one node", least=1, most=1024)
    served_by: str = param(
        "X-Served-By",
        help="the header by which a balancer's answer tells which server gave it; none if empty",
    )
    nodes: str = joining()

    def __post_init__(self) -> None:
        if not self.path.startswith("/") or not self.path.isascii() or any(c.isspace() for c in self.path):
            raise ValueError(
                f"path: {self.path!r} is not a path; it begins with / and has no spaces, as in /health"
            )

    def session(self, node: Node) -> Session:
        keep = self.served_by.lower().encode("ascii", "ignore")
        pool = Pool(node.host, node.port, connections=self.connections, keep=keep)
        return _Session(self, pool, encode(self.method, node.address, self.path))


@dataclass(frozen=True)
class _Session(Session):
    probe: Http
    pool: Pool
    request: bytes

    async def look(self) -> Reading:
        probe = self.probe
        try:
            answer = await self.pool.exchange(self.request, head=probe.method == "HEAD")
        except WireError as error:
            return failed(error)
        status = answer.status
        if status != probe.status if probe.status else not 200 <= status < 400:
            return Reading(False, f"status {status}" + (f", not {probe.status}" if probe.status else ""))
        if probe.contains and probe.contains.encode() not in answer.body:
            return Reading(False, f"the answer does not contain {probe.contains!r}")
        return Reading(True, by=answer.by) if answer.by else GOOD

    async def close(self) -> None:
        await self.pool.close()
