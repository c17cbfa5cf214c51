"""Who opened a connection: one of the members that are known by their processes, or none of them.

The kernel is asked for the socket at the other end (netlink's sock_diag, which names its inode), and /proc for
the member that has it open. That takes no root, as long as the members belong to the user of the proxy, and
holds only for this host: whoever connects from elsewhere is none of them.
"""

import os
import socket
import struct
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from engine.errors import EngineError, Refused
from engine.processes import tree

Members = Mapping[str, Sequence[str | int]]  # by name: pid files, or pids that are known
NOBODY = ""  # none of the members: a client

_SOCK_DIAG, _BY_FAMILY, _REQUEST = 4, 20, 1
_ALL_STATES = 0xFFFFFFFF
_REQUESTED = struct.Struct("=IHHIIBBBxI")  # nlmsghdr, and inet_diag_req_v2 up to the id
_ENDS = struct.Struct("!HH16s16sI8s")  # inet_diag_sockid; the cookie says that none is known
_INODE = 16 + 4 + _ENDS.size + 4 * 4  # where inet_diag_msg has it
_ANY = b"\xff" * 8


def openers(accepted: Sequence[socket.socket], members: Members) -> list[str]:
    """For each accepted connection the member that has its other end open, else NOBODY."""
    inodes = [_inode_of_other_end(one) for one in accepted]
    wanted = {f"socket:[{inode}]" for inode in inodes if inode}
    found: dict[str, str] = {}
    for name, ways in members.items():
        for pid in _pids(ways) if wanted - found.keys() else ():
            found |= dict.fromkeys(_open_in(pid, wanted - found.keys()), name)
    return [found.get(f"socket:[{inode}]", NOBODY) for inode in inodes]


def refuse(listener: socket.socket, members: Members) -> None:
    """Raises Refused where it cannot be told who opens connections to `listener`."""
    if not _inode(listener.family, listener.getsockname(), None):
        raise Refused("This kernel does not tell who opened a connection: it has no inet_diag.")
    for name, ways in members.items():
        for pid in _pids(ways):
            try:
                os.listdir(f"/proc/{pid}/fd")
            except PermissionError:
                raise Refused(
                    f"{name}, pid {pid}, belongs to another user, so that the link proxy may not see which "
                    "connections are its own.",
                    "Run the link proxy as that user.",
                ) from None
            except OSError:
                continue  # it has just ended


def _pids(ways: Sequence[str | int]) -> list[int]:
    """The processes of a member, with their descendants, as they are now; none where it does not run."""
    found = []
    for way in ways:
        with suppress(OSError, ValueError, IndexError, EngineError):
            pid = way if isinstance(way, int) else int(Path(way).read_text().split()[0])
            found += [one["pid"] for one in tree(pid)]
    return found


def _open_in(pid: int, wanted: set[str]) -> set[str]:
    """Those of the files `wanted` that the process has open."""
    found: set[str] = set()
    folder = f"/proc/{pid}/fd"
    with suppress(OSError):
        for file in reversed(os.listdir(folder)):  # the latest are last, mostly
            with suppress(OSError):
                found |= wanted & {os.readlink(f"{folder}/{file}")}
            if len(found) == len(wanted):
                break
    return found


def _inode_of_other_end(one: socket.socket) -> int:
    """0 where there is no such socket on this host any more."""
    try:
        return _inode(one.family, one.getpeername(), one.getsockname())
    except OSError:  # it is closed already
        return 0


def _inode(family: int, own: Any, other: Any) -> int:
    """Of the TCP socket between these two ends, or of the one that listens on `own`; 0 where there is none."""
    family, (here, port), (there, far) = _ends(family, own, other)
    asked = _ENDS.pack(port, far, here, there, 0, _ANY)
    head = _REQUESTED.pack(
        _REQUESTED.size + len(asked), _BY_FAMILY, _REQUEST, 0, 0, family, socket.IPPROTO_TCP, 0, _ALL_STATES
    )
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG) as kernel:
            kernel.send(head + asked)
            answer = kernel.recv(4096)
    except OSError:
        return 0
    kind = struct.unpack_from("=H", answer, 4)[0]
    return struct.unpack_from("=I", answer, _INODE)[0] if kind == _BY_FAMILY else 0


def _ends(family: int, own: Any, other: Any) -> tuple[int, tuple[bytes, int], tuple[bytes, int]]:
    mapped = "::ffff:"
    if family == socket.AF_INET6 and own[0].startswith(mapped):  # the other one's is a socket of IPv4
        family, own = socket.AF_INET, (own[0].removeprefix(mapped), own[1])
        other = other and (other[0].removeprefix(mapped), other[1])
    return family, _end(family, own), _end(family, other) if other else (bytes(16), 0)


def _end(family: int, address: Any) -> tuple[bytes, int]:
    return socket.inet_pton(family, address[0]).ljust(16, b"\0"), address[1]
