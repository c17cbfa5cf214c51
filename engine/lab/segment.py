"""One network segment: every node in a namespace of its own, with a cable to the switch and an address.

The switch's ends of the cables are in a namespace, the hub, that holds nothing else. Those who use the nodes
are at one more port, `clients`: with root it is this host itself, which gets one device and one address of
the segment; without, a namespace like those of the nodes. Every namespace carries the mark of the lab: an
address of its loopback device that follows from the lab's folder.
"""

import hashlib
import ipaddress
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from engine.errors import EngineError
from engine.lab import namespaces

CLIENTS = "clients"
_FIRST, _LAST = 209, 249  # 10.209.x.0/24 to 10.249.x.0/24: where few networks are
_LOCK = "\0chaosboard-lab-segment"  # one lab of a host chooses its network at a time
_AT_CLIENTS = 254
PATIENCE = 10.0  # seconds to wait for another lab that is being built


@dataclass(frozen=True)
class Seat:
    """A port: `space` is a descriptor of its namespace; `device` the switch's end, `far` its own."""

    name: str
    address: str
    mac: str
    device: str
    far: str
    space: int
    own: bool = True  # whether the namespace was made for it


@dataclass(frozen=True)
class Segment:
    folder: Path
    network: str
    hub: int
    seats: list[Seat] = field(default_factory=list)

    @property
    def networks(self) -> dict[str, int]:
        """The numbers of the namespaces that are the lab's own."""
        spaces = {seat.name: seat.space for seat in self.seats if seat.own} | {"hub": self.hub}
        return {name: namespaces.number(space) for name, space in spaces.items()}

    def address(self, name: str) -> str:
        return next(seat.address for seat in self.seats if seat.name == name)


def mark(folder: Path) -> str:
    """The address of 127.0.0.0/8 by which namespaces of the lab in `folder` are known."""
    a, b, c = _digest(folder)[:3]
    return f"127.{128 + a % 126}.{b}.{1 + c % 254}"


def carries(pid: int, folder: Path) -> bool:
    """Whether `pid` lives in a namespace with the mark of the lab in `folder`."""
    with suppress(OSError):
        return f" {mark(folder)}\n" in Path(f"/proc/{pid}/net/fib_trie").read_text()
    return False


def device_of(folder: Path) -> str:
    """How the device of the lab is called on this host."""
    return f"cb{_digest(folder).hex()[:8]}"


def build(folder: Path, names: Sequence[str], root: bool) -> Segment:
    """Raises EngineError where no network is free."""
    with _alone():
        network = _free(folder)
        found = Segment(folder, str(network), _marked(folder))
        for i, name in enumerate(names, start=1):
            _add(found, name, str(network[i]), i, _marked(folder), "e0")
        if root:
            own = namespaces.own_network()
            _add(found, CLIENTS, str(network[_AT_CLIENTS]), _AT_CLIENTS, own, device_of(folder), own=False)
        else:
            _add(found, CLIENTS, str(network[_AT_CLIENTS]), _AT_CLIENTS, _marked(folder), "e0")
    return found


def _add(
    segment: Segment, name: str, address: str, number: int, space: int, far: str, own: bool = True
) -> None:
    from pyroute2 import IPRoute

    digest = _digest(segment.folder)
    mac, other = (f"02:cb:{digest[0]:02x}:{digest[1]:02x}:{side}:{number:02x}" for side in ("00", "01"))
    device = f"s{number}"
    alias = f"chaosboard lab {segment.folder}"[:250]
    with namespaces.inside(segment.hub), IPRoute() as route:
        route.link(
            "add", ifname=device, kind="veth", address=other,
            peer={"ifname": far, "address": mac, "net_ns_fd": space},
        )  # fmt: skip
        route.link("set", index=route.link_lookup(ifname=device)[0], state="up")
    with namespaces.inside(space), IPRoute() as route:
        with suppress(OSError):
            Path(f"/proc/sys/net/ipv6/conf/{far}/disable_ipv6").write_text("1")
        index = route.link_lookup(ifname=far)[0]
        route.link("set", index=index, ifalias=alias)
        route.addr("add", index=index, address=address, prefixlen=24)
        route.link("set", index=index, state="up")
    segment.seats.append(Seat(name, address, mac, device, far, space, own))


def _marked(folder: Path) -> int:
    """A new namespace with the mark of the lab."""
    from pyroute2 import IPRoute

    space = namespaces.new_network()
    with namespaces.inside(space), IPRoute() as route:
        loopback = route.link_lookup(ifname="lo")[0]
        route.link("set", index=loopback, state="up")
        route.addr("add", index=loopback, address=mark(folder), prefixlen=32)
    return space


def _free(folder: Path) -> ipaddress.IPv4Network:
    """A network of which this host has no address and no route but the default one."""
    taken = list(_routed())
    for candidate in _candidates(folder):
        if not any(candidate.overlaps(one) for one in taken):
            return candidate
    raise EngineError("No private network of 10.209.0.0/24 to 10.249.255.0/24 is free on this machine.")


def _candidates(folder: Path) -> Iterator[ipaddress.IPv4Network]:
    digest = int.from_bytes(_digest(folder)[:4], "big")
    span = (_LAST - _FIRST + 1) * 256
    for i in range(span):
        second, third = divmod((digest + i) % span, 256)
        yield ipaddress.IPv4Network(f"10.{_FIRST + second}.{third}.0/24")


def _routed() -> Iterator[ipaddress.IPv4Network]:
    from pyroute2 import IPRoute

    with IPRoute() as route:
        for one in route.get_routes(family=socket.AF_INET):
            if one["dst_len"] and (to := one.get("dst")):
                yield ipaddress.IPv4Network(f"{to}/{one['dst_len']}", strict=False)


def _digest(folder: Path) -> bytes:
    return hashlib.sha256(str(folder).encode()).digest()


@contextmanager
def _alone() -> Iterator[None]:
    """Only one process of this host at a time; a lock that ends with the process that holds it."""
    end = time.monotonic() + PATIENCE
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as lock:
        while True:
            try:
                lock.bind(_LOCK)
                break
            except OSError:
                if time.monotonic() > end:
                    raise EngineError("Another lab of this host is just being built.", "Try again.") from None
                time.sleep(0.02)
        yield
