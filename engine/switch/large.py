"""How large a packet may be that a node leaves to the wire to cut up: beyond 64 KiB where Linux knows how (from 6.3).

Each packet costs the switch two calls of the kernel and a wake-up, so large ones are what makes it fast.
"""

import contextlib
import socket
import struct

LARGEST = 250_000  # bytes; what the kernel finds room for also where its memory is in pieces
_NEWLINK, _REQUEST, _ACK = 16, 1, 4
_GSO_MAX_SIZE, _GSO_IPV4_MAX_SIZE = 41, 63  # attributes of rtnetlink(7), which pyroute2 does not know yet
_HEADER, _LINK, _NUMBER = struct.Struct("IHHII"), struct.Struct("BxHiII"), struct.Struct("HHI")


def allow(device: str) -> None:
    """For `device` of the network namespace of this thread. A kernel that cannot leaves it at 64 KiB."""
    attributes = b"".join(
        _NUMBER.pack(_NUMBER.size, kind, LARGEST) for kind in (_GSO_MAX_SIZE, _GSO_IPV4_MAX_SIZE)
    )
    with contextlib.suppress(OSError), socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as kernel:
        body = _LINK.pack(0, 0, socket.if_nametoindex(device), 0, 0) + attributes
        kernel.send(_HEADER.pack(_HEADER.size + len(body), _NEWLINK, _REQUEST | _ACK, 1, 0) + body)
        kernel.recv(4096)
