"""When bytes came, as the kernel saw it: how long the proxy took to wake up is in no delay then.

Linux stamps what arrives for a socket that asks for it (SO_TIMESTAMPNS), also of TCP, by the clock on the wall.
"""

import contextlib
import socket
import struct
import time
from collections.abc import Sequence
from typing import Any

from engine.clock import NS

ROOM = 64  # bytes for what the kernel says beside the data
OLDEST = 3_000_000  # ns; what is older has waited on purpose, or the clock on the wall was set
_TIMESTAMPNS = 35  # SO_TIMESTAMPNS, which Python does not name
_STAMP = struct.Struct("qq")  # seconds and ns


def ask(source: socket.socket) -> None:
    """From now on what arrives on it is stamped; where that cannot be, nothing is said beside the data."""
    with contextlib.suppress(OSError):
        source.setsockopt(socket.SOL_SOCKET, _TIMESTAMPNS, 1)


def came(said: Sequence[tuple[int, int, Any]], otherwise: int) -> int:
    """When it came by what the kernel `said`, in monotonic nanoseconds; `otherwise` where that is not to be believed."""
    for level, kind, text in said:
        if (level, kind) == (socket.SOL_SOCKET, _TIMESTAMPNS) and len(text) >= _STAMP.size:
            seconds, ns = map(int, _STAMP.unpack_from(text))
            ago = time.time_ns() - (seconds * NS + ns)
            if 0 <= ago <= OLDEST:
                return time.monotonic_ns() - ago
    return otherwise
