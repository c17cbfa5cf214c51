"""A small gRPC service: the standard health service, and lab.Echo/Say, which returns what it got."""

import sys
from concurrent.futures import ThreadPoolExecutor

import grpc

SERVING = b"\x08\x01"  # grpc.health.v1.HealthCheckResponse{status: SERVING}


def handler(service: str, method: str, answer: "grpc.RpcMethodHandler") -> "grpc.GenericRpcHandler":
    return grpc.method_handlers_generic_handler(service, {method: answer})


def main(host: str, port: str, node: str) -> None:
    def health(request: bytes, context: grpc.ServicerContext) -> bytes:
        context.send_initial_metadata((("x-served-by", node),))
        return SERVING

    def echo(request: bytes, context: grpc.ServicerContext) -> bytes:
        context.send_initial_metadata((("x-served-by", node),))
        return request

    server = grpc.server(ThreadPoolExecutor(16), options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers(
        (
            handler("grpc.health.v1.Health", "Check", grpc.unary_unary_rpc_method_handler(health)),
            handler("lab.Echo", "Say", grpc.unary_unary_rpc_method_handler(echo)),
        )
    )
    server.add_insecure_port(f"{host}:{port}")
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main(*sys.argv[1:])
