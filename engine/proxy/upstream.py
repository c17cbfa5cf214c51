"""Where a node is: a name is looked up for each connection, and never on the proxy's own thread."""

import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from engine.proxy.loop import Loop

Address = tuple[int, tuple[Any, ...]]  # address family, and what connect() takes
_LOOKERS = 4


class Resolver:
    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._pool: ThreadPoolExecutor | None = None
        self._known: dict[str, list[Address]] = {}  # addresses that are numbers already

    def find(self, upstream: str, then: Callable[[list[Address]], None]) -> None:
        """Calls `then` with the addresses of "host:port"; there are none where it is not found."""
        known = self._known.get(upstream) or self._number(upstream)
        if known:
            return then(known)
        if self._pool is None:
            self._pool = ThreadPoolExecutor(_LOOKERS, "names")

        def look() -> None:
            found = look_up(upstream)
            self._loop.from_thread(lambda: then(found))

        self._pool.submit(look)
        return None

    def _number(self, upstream: str) -> list[Address]:
        found = look_up(upstream, socket.AI_NUMERICHOST)
        if found:
            self._known[upstream] = found
        return found


def look_up(address: str, flags: int = 0) -> list[Address]:
    """The addresses of "host:port", IPv4 first; an empty host is this one."""
    try:
        host, port = split(address)
        found = socket.getaddrinfo(host or "localhost", port, type=socket.SOCK_STREAM, flags=flags)
    except (OSError, ValueError):
        return []
    return sorted(((one[0], one[4]) for one in found), key=lambda one: one[0] != socket.AF_INET)


def split(address: str) -> tuple[str, int]:
    """Host and port of "host:port", "[v6]:port" or ":port"; raises ValueError."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"{address!r} is not an address; write host:port, as in 127.0.0.1:8080")
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        raise ValueError(f"{address!r} is not an address; write [{host}]:{port}")
    return host.strip("[]"), int(port)
