"""Traffic control in the network namespace of the calling thread: what is marked for it is held, or narrowed.

What leaves: a root htb on each device, in which only what nftables puts into our class is shaped. What arrives:
nftables sends it through a device of ours (an ifb), and from there it arrives as if from its own. So the lease
that nftables keeps ends the shaping too; what is left then does nothing.
"""

import ctypes
import hashlib
import importlib.util
import socket
import threading
from functools import cache
from typing import Any

from engine import state
from engine.errors import EngineError, Refused

_OURS = "chaosboard"
QUIET = {"noqueue", "pfifo_fast", "fq_codel", "mq", "fq", "pfifo", "noop"}  # what the kernel gives by itself
ALIAS = 20  # IFLA_IFALIAS
BURST = 0.01  # seconds of the rate that pass at once
WAITING = 0.2  # seconds for which a packet may wait for the rate
FAST = 125_000_000_000  # bytes a second: no limit
LIMIT = 100_000  # packets that netem may hold
OVERTAKEN = 0.01  # seconds that others are held so that a packet can overtake them
_CLONE_NEWNET = 0x40000000
_ROOT = 0xFFFFFFFF
NETEM = {"latency", "jitter", "duplicate", "reorder", "corrupt"}


@cache
def absent() -> bool:
    """Whether this Python has no pyroute2, as on a host that is reached by ssh: then nothing of it was made here."""
    return importlib.util.find_spec("pyroute2") is None


@cache
def kinds() -> frozenset[str]:
    """The queueing disciplines that this kernel has, of those that we use: tried in a namespace that is gone after."""
    found: set[str] = set()

    def look() -> None:
        if absent() or ctypes.CDLL(None).unshare(_CLONE_NEWNET):
            return
        for kind, options in (("htb", {}), ("netem", {"delay": 1000}), ("tbf", _tbf(1e6))):
            if _has(kind, options):
                found.add(kind)

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    return frozenset(found)


def _has(kind: str, options: dict[str, Any]) -> bool:
    from pyroute2 import IPRoute
    from pyroute2.netlink.exceptions import NetlinkError

    with IPRoute() as ip:
        try:
            ip.tc("add", kind, 1, handle="1:", **options)
            ip.tc("del", index=1, parent=_ROOT)
        except NetlinkError:
            return False
    return True


def handle(mark: str) -> int:
    """The number of our disciplines: one of 0x4000 to 0x7fff, by the mark."""
    return 0x4000 | int(hashlib.sha256(mark.encode()).hexdigest()[:3], 16)


def device(mark: str) -> str:
    return f"cb{hashlib.sha256(mark.encode()).hexdigest()[:10]}"


def make(mark: str, how: dict[str, Any]) -> list[str]:
    """Makes what shapes; the names of the devices whose packets are to be sent there. Raises Refused."""
    if absent():
        raise Refused("pyroute2 is missing on this host.", "Install it from PyPI, or use the link proxy.")
    from pyroute2 import IPRoute

    drop(mark)
    with IPRoute() as ip:
        found = _devices(ip)
        for name, index in found.items():
            _refuse_foreign(ip, name, index)
        ip.link("add", ifname=device(mark), kind="ifb")
        [own] = ip.link_lookup(ifname=device(mark))
        ip.link("set", index=own, ifalias=_alias(mark), state="up", txqlen=1000)
        _hold(ip, own, _ROOT, f"{handle(mark):x}:", how)
        for index in found.values():
            ip.tc("add", "htb", index, handle=f"{handle(mark):x}:", default=0)
            ip.tc(
                "add-class",
                "htb",
                index,
                handle=f"{handle(mark):x}:2",
                parent=f"{handle(mark):x}:",
                **_htb(how),
            )
            if NETEM & set(how):
                _hold(ip, index, f"{handle(mark):x}:2", f"{handle(mark) + 0x1000:x}:", how)
    return list(found)


def _hold(ip: Any, index: int, parent: Any, number: str, how: dict[str, Any]) -> None:
    kind, options = ("netem", _netem(how)) if NETEM & set(how) else ("tbf", _tbf(how["rate"]))
    where = {} if parent == _ROOT else {"parent": parent}
    ip.tc("add", kind, index, handle=number, **where, **options)


def _htb(how: dict[str, Any]) -> dict[str, Any]:
    rate = how["rate"] if "rate" in how and not NETEM & set(how) else FAST
    return {"rate": int(rate), "burst": _burst(rate), "cburst": _burst(rate)}


def _tbf(rate: float) -> dict[str, Any]:
    return {"rate": int(rate), "burst": _burst(rate), "latency": int(WAITING * 1e6)}


def _burst(rate: float) -> int:
    return max(3000, int(min(rate, 1e9) * BURST))


def _netem(how: dict[str, Any]) -> dict[str, Any]:
    """Microseconds and percents, as pyroute2 wants them."""
    held = how.get("latency", 0.0) or (OVERTAKEN if "reorder" in how else 0.0)
    found: dict[str, Any] = {
        "delay": int(held * 1e6),
        "jitter": int(how.get("jitter", 0.0) * 1e6),
        "limit": LIMIT,
    }
    words = {"duplicate": "duplicate", "reorder": "prob_reorder", "corrupt": "prob_corrupt", "loss": "loss"}
    found |= {word: how[key] * 100 for key, word in words.items() if key in how}
    return found | ({"rate": int(how["rate"])} if "rate" in how else {})


def _devices(ip: Any) -> dict[str, int]:
    """Those by which a namespace is joined to others."""
    return {
        link.get_attr("IFLA_IFNAME"): link["index"]
        for link in ip.get_links()
        if link["flags"] & 1 and not link["flags"] & 8 and not link.get_attr("IFLA_IFNAME").startswith("cb")
    }


def _refuse_foreign(ip: Any, name: str, index: int) -> None:
    for found in ip.get_qdiscs(index=index):
        kind = found.get_attr("TCA_KIND")
        if found["parent"] == _ROOT and (kind not in QUIET or found["handle"]):
            raise Refused(
                f"{name} has a queueing discipline already ({kind}), which chaosboard did not make.",
                f"See `tc qdisc show dev {name}`; it is not replaced.",
            )


def _alias(mark: str) -> str:
    return f"{_OURS} {mark} {state.sign(state.root())}"


def _owned(alias: str) -> tuple[str, str]:
    """The mark and the sign of the state directory that an alias tells; "" where it is none of ours."""
    ours, mark, sign, *_ = [*alias.split(" "), "", "", ""]
    return (mark, sign) if ours == _OURS else ("", "")


def marks(sign: str) -> set[str]:
    """Of the devices that are here and were made for the state directory with this sign."""
    if absent() or not any(name.startswith("cb") for _, name in socket.if_nameindex()):
        return set()  # as nearly everywhere: whoever sweeps looks every few seconds
    from pyroute2 import IPRoute

    with IPRoute() as ip:
        aliases = [link.get_attr("IFLA_IFALIAS") or "" for link in ip.get_links()]
        names = [link.get_attr("IFLA_IFNAME") for link in ip.get_links()]
    return {mark for mark, own in map(_owned, aliases) if own == sign and device(mark) in names}


def left(mark: str) -> list[str]:
    """What is there of `mark`, in words."""
    if absent():
        return []
    from pyroute2 import IPRoute

    with IPRoute() as ip:
        return [text for text, _, _ in _ours(ip, mark)]


def drop(mark: str) -> None:
    """Removes what is there of `mark`; twice is as good as once."""
    if absent():
        return
    from pyroute2 import IPRoute
    from pyroute2.netlink.exceptions import NetlinkError

    with IPRoute() as ip:
        for text, what, index in _ours(ip, mark):
            try:
                if what == "link":
                    ip.link("del", index=index)
                else:
                    ip.tc("del", index=index, parent=_ROOT)
            except NetlinkError as error:
                raise EngineError(f"{text} could not be removed: {error}.") from None


def _ours(ip: Any, mark: str) -> list[tuple[str, str, int]]:
    """(in words, link or tc, index of the device)."""
    links = {link["index"]: link for link in ip.get_links()}
    names = {index: link.get_attr("IFLA_IFNAME") for index, link in links.items()}
    found = [
        (
            f"the queueing discipline {handle(mark):x}: of {names.get(one['index'], one['index'])}",
            "tc",
            one["index"],
        )
        for one in ip.get_qdiscs()
        if one["handle"] == handle(mark) << 16
        and one["parent"] == _ROOT
        and one.get_attr("TCA_KIND") == "htb"
    ]
    return found + [
        (f"the device {names[index]}", "link", index)
        for index, link in links.items()
        if _owned(link.get_attr("IFLA_IFALIAS") or "")[0] == mark
    ]
