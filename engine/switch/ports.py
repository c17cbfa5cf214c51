"""A port of the switch: a packet socket on its end of the cable to a node."""

import contextlib
import ctypes
import fcntl
import socket
import struct

from engine.clock import NS
from engine.lab import namespaces
from engine.switch import large

_SOL_PACKET, _VNET_HDR, _QDISC_BYPASS, _IGNORE_OUTGOING = 263, 15, 20, 23
_ETH_P_ALL = 3
_TIMESTAMPNS, _SAID, _TIME = 35, socket.CMSG_SPACE(16), struct.Struct("qq")
_SIOCETHTOOL = 0x8946
_SUMS, _SCATTER, _SEGMENTS = 0x17, 0x19, 0x1F  # ETHTOOL_STXCSUM, _SSG, _STSO
ROOM = 4 << 20  # bytes that may wait in the kernel, as far as it allows


class Port:
    """`device` is the switch's end, `far` the node's, in the network namespace of the descriptor `space`."""

    def __init__(self, name: str, device: str, mac: str, far: str, space: int) -> None:
        self.name, self.mac = name, bytes.fromhex(mac.replace(":", ""))
        self.whole = False  # whether its packets may be large, and without checksums
        self._far, self._space = far, space
        self.socket = _packets(device)
        self.fileno = self.socket.fileno()
        large.allow(device)
        with namespaces.inside(space):
            large.allow(far)
        self.keep_whole(True)  # a switch that was killed may have left it otherwise

    def stamp(self, on: bool) -> None:
        """Whether the kernel notes when each packet came."""
        self.socket.setsockopt(socket.SOL_SOCKET, _TIMESTAMPNS, int(on))

    def receive(self, buffer: bytearray) -> tuple[int, int]:
        """The size of the next packet, and when it came in ns of the wall clock, 0 where it is not known.

        Raises OSError where there is none.
        """
        size, said, _, _ = self.socket.recvmsg_into([buffer], _SAID)
        for _, kind, data in said:
            if kind == _TIMESTAMPNS:
                seconds, ns = _TIME.unpack_from(data)
                return size, seconds * NS + ns
        return size, 0

    def send(self, packet: "bytes | memoryview") -> None:
        with contextlib.suppress(OSError):  # full, or its node is gone: the packet is lost, as on a wire
            self.socket.send(packet)

    def keep_whole(self, whole: bool) -> None:
        """Whether the node may leave segmentation and checksums to the wire."""
        if whole == self.whole:
            return
        self.whole = whole
        with namespaces.inside(self._space), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as there:
            for what in (_SUMS, _SCATTER, _SEGMENTS) if whole else (_SEGMENTS, _SUMS):
                _ethtool(there, self._far, what, int(whole))


def _packets(device: str) -> socket.socket:
    found = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    for option in (_VNET_HDR, _IGNORE_OUTGOING, _QDISC_BYPASS):
        found.setsockopt(_SOL_PACKET, option, 1)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, ROOM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, ROOM)
    found.bind((device, _ETH_P_ALL))
    found.setblocking(False)
    return found


def _ethtool(there: socket.socket, device: str, what: int, value: int) -> None:
    order = ctypes.create_string_buffer(struct.pack("II", what, value))
    request = struct.pack("16sP16x", device.encode(), ctypes.addressof(order))
    with contextlib.suppress(OSError):  # a device that cannot leave it to the wire does it itself
        fcntl.ioctl(there, _SIOCETHTOOL, request)
