"""Network namespaces of this host: whose is which, what is in them, and work done inside one."""

import contextlib
import ctypes
import ipaddress
import os
import re
import socket
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import psutil

from engine import processes
from engine.errors import EngineError, Refused, Unreachable
from engine.state import PART

T = TypeVar("T")
_NAMED = ("run/netns", "run/docker/netns")  # where namespaces live that no process needs to be in
_CLONE_NEWNET = 0x40000000
_NET_ADMIN = 12  # the capability's number
_TCP = dict.fromkeys(("tcp", "tcp6"), "0A")  # listening
_UDP = dict.fromkeys(("udp", "udp6"), "07")  # bound, and not connected to anybody


def number(pid: int | str = "self") -> int:
    """The inode of the network namespace of `pid`. Raises Unreachable."""
    try:
        return os.stat(f"/proc/{pid}/ns/net").st_ino
    except OSError as error:
        raise Unreachable(f"The network of pid {pid} cannot be seen: {error.strerror}.") from None


def elsewhere(pid: int) -> bool:
    """Whether `pid` is seen to be in another network namespace than this process."""
    with contextlib.suppress(Unreachable):
        return number(pid) != number()
    return False


def path(namespace: int, but: Iterable[int] = ()) -> str:
    """A file by which the namespace with this inode can be entered, other than of the processes `but`; "" where
    nothing is in it any more."""
    pids = (pid for pid in psutil.pids() if pid not in but)
    places = [Path("/proc/self/ns/net"), *(Path(f"/proc/{pid}/ns/net") for pid in pids)]
    for folder in _NAMED:
        with contextlib.suppress(OSError):
            places += list(Path("/", folder).iterdir())
    for place in places:
        with contextlib.suppress(OSError):
            if place.stat().st_ino == namespace:
                return str(place)
    return ""


def home(pid: int | str) -> int:
    """As `number`; 0 where it cannot be seen, as on a system without namespaces."""
    with contextlib.suppress(Unreachable):
        return number(pid)
    return 0


def refuse_lonely(namespace: int, family: list[int]) -> None:
    """Raises Refused where a network would be gone as soon as the processes `family` are."""
    if namespace not in (0, home("self")) and not path(namespace, family):
        raise Refused(
            f"The network namespace of pid {family[0]} is held by nothing else: it would be gone with it, and nothing "
            "could start it there again.",
            "Give the namespace a name (`ip netns attach NAME PID`), or let another process stay in it.",
        )


def way_back(namespace: int) -> str:
    """A file by which a network is entered, "" for that of this process. Raises Unreachable where it is gone, for
    nothing is started in another one instead."""
    if namespace in (0, home("self")):
        return ""
    if not (place := path(namespace)):
        raise Unreachable(
            "The network in which it ran is gone, and it is not started in another one.",
            "Start it by hand, where it belongs.",
        )
    return place


def inside(place: str, work: Callable[[], T]) -> T:
    """What `work` gives in the network namespace at `place`, done by a thread of its own.

    Raises Refused where it may not be entered, and whatever `work` raises.
    """
    done: list[T] = []
    failed: list[Exception] = []

    def run() -> None:
        try:
            _enter(place)
            done.append(work())
        except Exception as error:  # it is raised by whoever asked
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return done[0]


def _enter(place: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(place, os.O_RDONLY)
    try:
        if (
            os.fstat(descriptor).st_ino
            == os.stat(f"/proc/self/task/{threading.get_native_id()}/ns/net").st_ino
        ):
            return
        if libc.setns(descriptor, _CLONE_NEWNET):
            reason = os.strerror(ctypes.get_errno())
            raise Refused(f"The network namespace at {place} cannot be entered: {reason}.", NEEDS)
    finally:
        os.close(descriptor)


NEEDS = "Run chaosboard as root, or inside the user namespace of what it hurts."


def cannot_change() -> str:
    """Why nothing can be changed in the networks of this host; "" where it can be tried."""
    try:
        held = re.search(r"^CapEff:\s*(\w+)", Path("/proc/self/status").read_text(), re.MULTILINE)
    except OSError:
        return "this host has no network namespaces to work in: it is not Linux."
    if held is None or not int(held[1], 16) >> _NET_ADMIN & 1:
        return f"chaosboard may not change the network here (CAP_NET_ADMIN). {NEEDS}"
    return ""


def addresses(place: str) -> list[str]:
    """Those of a namespace's devices, without the loopback's."""

    def look() -> list[str]:
        found = [a.address.partition("%")[0] for group in psutil.net_if_addrs().values() for a in group]
        return sorted({text for text in found if _is_address(text) and not _loopback(text)})

    return inside(place, look)


def _is_address(text: str) -> bool:
    with contextlib.suppress(ValueError):
        return bool(ipaddress.ip_address(text))
    return False


def _loopback(text: str) -> bool:
    return ipaddress.ip_address(text).is_loopback


def listening(pids: Iterable[int], namespace_of: int) -> list[int]:
    """The TCP ports on which `pids` listen in the network namespace of the process `namespace_of`."""
    return _held(pids, _sockets(namespace_of, _TCP))


def bound(pids: Iterable[int], namespace_of: int) -> list[int]:
    """As `listening`, and the UDP ports at which they take datagrams of anybody."""
    return _held(pids, _sockets(namespace_of, _TCP | _UDP))


def _held(pids: Iterable[int], ports: dict[str, int]) -> list[int]:
    found = set()
    for pid in pids:
        with contextlib.suppress(OSError), os.scandir(f"/proc/{pid}/fd") as files:
            for file in files:
                with contextlib.suppress(OSError):
                    if port := ports.get(os.readlink(file.path)):
                        found.add(port)
    return sorted(found)


def _sockets(pid: int, tables: dict[str, str]) -> dict[str, int]:
    """By what the links of descriptors say, the ports of sockets in the state that a table's entry names."""
    ports: dict[str, int] = {}
    for table, state in tables.items():
        with contextlib.suppress(OSError), open(f"/proc/{pid}/net/{table}") as lines:
            for fields in map(str.split, lines):
                if fields[3] == state:
                    ports[f"socket:[{fields[9]}]"] = int(fields[1].rpartition(":")[2], 16)
    return ports


def lifelines(pid: int) -> list[int]:
    """The ports in the namespace of `pid` that keep this host and the board reachable: they are never cut."""
    mine, kept = number(pid), []
    for process in psutil.process_iter(["pid", "name"]):
        with contextlib.suppress(OSError, psutil.Error, EngineError):
            if number(process.pid) != mine:
                continue
            if process.info["name"] in processes.HOST_LIFELINES or PART in process.environ():
                kept.append(process.pid)
    for _, host, port in processes.own_services():
        if processes.is_local(host):
            kept += processes.listeners(port)
    return listening(kept, pid)


def own_endpoints() -> list[tuple[str, int]]:
    """(address, port) of the servers that chaosboard itself uses, here or elsewhere: nothing to or from them is cut.

    Raises Refused where the name of one is not known now, for then it cannot be spared.
    """
    found = []
    for name, host, port in processes.own_services():
        try:
            known = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise Refused(
                f"The address of {host}, chaosboard's own {name}, is not known: {error.strerror}. It could be cut.",
                f"Write its number into {name}.",
            ) from None
        found += [(str(one[4][0]), port) for one in known]
    return sorted(set(found))


def name_servers() -> list[tuple[str, int]]:
    """(address, port) of those that this host asks for names."""
    found = []
    with contextlib.suppress(OSError), open("/etc/resolv.conf") as lines:
        for words in map(str.split, lines):
            if (
                words[:1] == ["nameserver"]
                and len(words) > 1
                and _is_address(address := words[1].partition("%")[0])
            ):
                found.append((address, 53))
    return found


def is_hosts(namespace: int) -> bool:
    """Whether it is the one of this process, or of the host's first process: others live there too."""
    with contextlib.suppress(Unreachable):
        if number(1) == namespace:
            return True
    return number() == namespace
