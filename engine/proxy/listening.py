"""Sockets that listen, from addresses as people write them."""

import errno
import os
import socket
from contextlib import suppress
from pathlib import Path

from engine.proxy.upstream import Address, look_up, split

BACKLOG = 4096


def listen_on(address: str) -> socket.socket:
    """Listens on "host:port"; port 0 is any that is free, an empty host all addresses. Raises OSError, ValueError."""
    host, port = split(address or ":0")
    if not host:
        return _everywhere(port)
    family, where = _first(address)
    return _listen(socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK), where)


def bind_on(address: str) -> socket.socket:
    """Takes datagrams on "host:port"; an empty host is all IPv4 addresses. Raises OSError, ValueError."""
    host, port = split(address or ":0")
    family, where = _first(address) if host else (socket.AF_INET, ("", port))
    bound = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        bound.bind(where)
    except OSError:
        bound.close()
        raise
    return bound


def _first(address: str) -> Address:
    found = look_up(address)
    if not found:
        raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
    return found[0]


def _everywhere(port: int) -> socket.socket:
    if not socket.has_dualstack_ipv6():
        return _listen(socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK), ("", port))
    both = socket.socket(socket.AF_INET6, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    both.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    return _listen(both, ("::", port))


def _listen(listener: socket.socket, where: tuple[object, ...]) -> socket.socket:
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(where)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def name_of(listener: socket.socket) -> str:
    """Where it listens, as "host:port"."""
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def listen_at(path: Path) -> socket.socket:
    """A unix socket that only its owner may use."""
    with suppress(FileNotFoundError):
        path.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    path.chmod(0o600)
    listener.listen(128)
    return listener
