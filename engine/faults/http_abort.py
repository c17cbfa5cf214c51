from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.faults._requests import _RequestFault
from engine.parameters import param


@dataclass(frozen=True)
class HttpAbort(_RequestFault):
    """Answers HTTP requests with an error on the way, or resets them, so that they never reach the node.

    Of HTTP/2 (in clear, prior knowledge) it hits single streams. What is encrypted passes untouched.
    """

    status: int = param(503, help="the status that clients get", least=200, most=599)
    reset: bool = param(False, help="reset the request, or its HTTP/1.1 connection, in place of an answer")
    method: str = param("", help="only requests of this method, as in POST")

    def line(self, nodes: Sequence[str]) -> str:
        which = self.told(nodes, f"{self.method} requests".strip())
        return f"reset {which}" if self.reset else f"answer {which} with {self.status}"

    def how(self) -> dict[str, Any]:
        told = {"status": self.status, "reset": self.reset, "method": self.method}
        return {"http_abort": {**told, **self.which()}}
