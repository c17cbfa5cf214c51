"""The link between clients and a node, where it is carried by a Toxiproxy server already."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from engine.capabilities import ReadBack
from engine.drivers import Driver
from engine.errors import EngineError, Refused, Unreachable
from engine.parameters import param
from engine.target import Node, split_address

OURS = "chaosboard-"  # how the names of our toxics begin
KINDS = (
    "latency",
    "bandwidth",
    "reset_peer",
    "slow_close",
    "slicer",
    "limit_data",
)  # as they are called there
PATIENCE = 3.0  # seconds for it to answer


@dataclass(frozen=True)
class Toxiproxy(Driver):
    """A proxy of a Toxiproxy server that is there already, through its HTTP API.

    Toxiproxy knows no leases: the warden takes its toxics off, and must reach the server for it. A cut
    loses what is sent meanwhile, and its end closes the connections.
    """

    proxy: str = param(help="the name of the proxy there, through which clients reach the node")
    api: str = param("127.0.0.1:8474", help="host:port of the server's HTTP API")

    def __post_init__(self) -> None:
        split_address(self.api)

    def refusal(self, node: Node) -> str:
        """Why the proxy must not be used: it is not there, is disabled, or somebody else's toxics are on it."""
        try:
            found = self._ask("GET")
        except EngineError as error:
            return str(error)
        if found is None:
            return f"The Toxiproxy at {self.api} has no proxy called {self.proxy}."
        if not found["enabled"]:
            return f"The proxy {self.proxy} is disabled in the Toxiproxy at {self.api}."
        foreign = [toxic["name"] for toxic in found["toxics"] if not toxic["name"].startswith(OURS)]
        if foreign:
            return f"The proxy {self.proxy} has toxics that are not chaosboard's: {', '.join(foreign)}."
        return ""

    def unable(self, node: Node, how: dict[str, Any]) -> str:
        try:
            list(_toxics("", how))
        except ValueError as error:
            return f"Toxiproxy cannot do this to {node.name}: {error}."
        return ""

    def victim(self, node: Node) -> str:
        try:
            found = self._ask("GET")
        except EngineError:
            return ""
        return f"the proxy {self.proxy}, {found['listen']} → {found['upstream']}" if found else ""

    def prepare(self, node: Node) -> bool:
        if why := self.refusal(node):
            raise Refused(why)
        return False

    def disturb(self, node: Node, mark: str, how: dict[str, Any], until: float) -> None:
        for toxic in _toxics(f"{OURS}{mark}", how):
            if self._ask("POST", "/toxics", toxic) is None:
                raise EngineError(f"The Toxiproxy at {self.api} has no proxy called {self.proxy} any more.")

    def clear(self, node: Node, mark: str) -> None:
        for name in self._left(mark):
            self._ask("DELETE", f"/toxics/{quote(name)}")

    def cleared(self, node: Node, mark: str) -> ReadBack:
        try:
            left = self._left(mark)
        except Unreachable as error:
            return ReadBack(None, str(error))
        if left:
            return ReadBack(False, f"the proxy {self.proxy} still has the toxic {left[0]}")
        return ReadBack(True, f"nothing of it is left on the proxy {self.proxy}")

    def _left(self, mark: str) -> list[str]:
        """The names of the mark's toxics; none where the proxy is gone, and they with it."""
        found = self._ask("GET") or {"toxics": []}
        return [toxic["name"] for toxic in found["toxics"] if toxic["name"].startswith(f"{OURS}{mark}_")]

    def _ask(self, method: str, path: str = "", body: Any = None) -> dict[str, Any] | None:
        """The server's answer, or None where there is no such thing.

        Raises Unreachable where none comes, EngineError where it says no.
        """
        import httpx

        where = f"http://{self.api}/proxies/{quote(self.proxy, safe='')}{path}"
        try:
            answer = httpx.request(method, where, json=body, timeout=PATIENCE, trust_env=False)
            found = answer.json() if answer.content else {}
        except (httpx.HTTPError, ValueError) as error:
            raise Unreachable(
                f"The Toxiproxy at {self.api} does not answer: {str(error) or type(error).__name__}.",
                "Is it running, and is this the address of its API?",
            ) from None
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        if answer.is_error or not isinstance(found, dict):
            why = found.get("error", "") if isinstance(found, dict) else ""
            raise EngineError(f"The Toxiproxy at {self.api} says: {why or answer.status_code}.")
        return found


def _toxics(mark: str, how: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Those that do what `how` says (see `engine.proxy.disturbance`); raises ValueError for what none does."""
    from engine.proxy import disturbance

    for ours in disturbance.toxics("", how, 0):
        kind, told = ours.kind, ours.attributes
        beyond = [name for name, usual in kind.beyond.items() if told[name] != usual]
        type, toxicity = ours.type, ours.toxicity
        if type == "cut":
            type, attributes = "timeout", {"timeout": 0}
        elif type == "loss":
            type, attributes, toxicity = "reset_peer", {"timeout": 0}, told["share"]
        elif type in KINDS and not beyond:
            attributes = {name: round(told[name]) for name in kind.attributes}
            if type == "bandwidth" and not attributes["rate"]:
                raise ValueError("its least bandwidth is 1 kB a second")
        else:
            raise ValueError(f"it has no {' and no '.join(beyond) or ours.type.replace('_', ' ')}")
        yield {
            "name": f"{mark}_{type}_{ours.stream}", "type": type, "stream": ours.stream,
            "toxicity": toxicity, "attributes": attributes,
        }  # fmt: skip
