from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import httpx

from engine.lab.server import Server
from engine.lab.systems._balanced import BACKENDS, Balanced


@dataclass(frozen=True)
class Http(Balanced):
    """An HTTP service of several nodes behind HAProxy or nginx."""

    kinds: ClassVar[Mapping[str, str]] = {"": "http", BACKENDS: "http"}
    service: ClassVar[str] = "engine.lab.serving.http"
    proto: ClassVar[dict[str, str]] = {"haproxy": "", "nginx": ""}
    server: ClassVar[str] = "check inter 200ms fall 2 rise 1"
    check: ClassVar[str] = "  option httpchk GET /health"
    forward: ClassVar[str] = (
        'proxy_pass http://nodes; proxy_http_version 1.1; proxy_set_header Connection "";'
        " proxy_connect_timeout 1s;"
    )

    @staticmethod
    def well(server: Server) -> bool:
        try:
            answer = httpx.get(f"http://{server.address}/health", timeout=1.0, trust_env=False)
        except httpx.HTTPError:
            return False
        return answer.status_code == 200
