from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.faults._requests import _RequestFault
from engine.parameters import param

CODES = (
    "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
    "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE",
    "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
)  # fmt: skip


@dataclass(frozen=True)
class GrpcAbort(_RequestFault):
    """Answers gRPC calls with an error on the way, so that they never reach the node.

    Other calls on the same connection go on. What is encrypted passes untouched.
    """

    code: str = param("UNAVAILABLE", help="the status that callers get", choices=CODES)
    message: str = param("", help="the text of the status")

    def line(self, nodes: Sequence[str]) -> str:
        return f"answer {self.told(nodes, 'calls')} with {self.code}"

    def how(self) -> dict[str, Any]:
        told = {"code": CODES.index(self.code) + 1, "message": self.message}
        return {"grpc_abort": {**told, **self.which()}}
