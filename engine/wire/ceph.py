"""Ceph's admin socket: a command as JSON, ended by a zero byte; the answer's length, then the answer."""

import json
import socket
import struct
from typing import Any


def ask(path: str, command: str, timeout: float = 1.0) -> dict[str, Any]:
    """The answer of the daemon that listens at `path`; empty where none comes."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(timeout)
            connection.connect(path)
            connection.sendall(json.dumps({"prefix": command}).encode() + b"\0")
            answers = connection.makefile("rb")
            (length,) = struct.unpack("!I", answers.read(4))
            return dict(json.loads(answers.read(length)))
    except (OSError, struct.error, ValueError):
        return {}
