from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from engine.lab.server import Server
from engine.lab.systems._balanced import BACKENDS, Balanced


@dataclass(frozen=True)
class Grpc(Balanced):
    """A gRPC service of several nodes behind HAProxy or nginx."""

    kinds: ClassVar[Mapping[str, str]] = {"": "grpc", BACKENDS: "grpc"}
    service: ClassVar[str] = "engine.lab.serving.grpc"
    proto: ClassVar[dict[str, str]] = {"haproxy": " proto h2", "nginx": " http2"}
    server: ClassVar[str] = "proto h2 check inter 200ms fall 2 rise 1"
    check: ClassVar[str] = "  option tcp-check"
    forward: ClassVar[str] = "grpc_pass grpc://nodes; grpc_connect_timeout 1s;"

    @staticmethod
    def well(server: Server) -> bool:
        import grpc

        with grpc.insecure_channel(server.address, options=[("grpc.enable_http_proxy", 0)]) as channel:
            try:
                answer: bytes = channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=1.0)
            except grpc.RpcError:
                return False
        return answer == b"\x08\x01"
