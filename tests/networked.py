"""Victims with networks of their own: a lab, whose switch is the one that hurts, and nodes that the kernel's rules hurt."""

import fcntl
import os
import signal
import socket
import struct
import subprocess
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import psutil

from engine import switch
from engine.errors import EngineError
from engine.host import networks, nft
from engine.lab import labs, records
from engine.lab.records import Record
from engine.lab.segment import CLIENTS
from engine.lab.spaces import space
from engine.state import OWNER, PART
from tests.networks import Network, network, run, seen
from tests.reaching import Seats
from tests.victims import Faults, Victim
from tests.waiting import until

HERE = "10.77.0.253"  # where the board is on the network of the rules' nodes
SEGMENTS = 0x1E  # ETHTOOL_GTSO
_SIOCETHTOOL = 0x8946


class Switched(Victim):
    """An etcd of three nodes in a lab: what its switch does to packets."""

    name, kind = "switch", "etcd"
    faults: Faults = {
        "partition halves": {"topology": "halves"}, "partition one-way": {"topology": "one-way"},
        "partition leader": {"topology": "leader-alone"}, "partition clients": {"between": "clients"},
        "latency": {"delay": "30ms", "between": "all"}, "loss": {"share": "30%", "between": "peers"},
        "duplicate": {"share": "30%", "between": "peers"}, "reorder": {"share": "30%", "between": "all"},
        "corrupt": {"share": "20%", "between": "peers"}, "bandwidth": {"rate": "20kB", "between": "peers"},
        "kill": {},
    }  # fmt: skip

    def __init__(self, folder: Path) -> None:
        """The lab has a state directory of its own, which the board sees: it lives when all of the board is killed."""
        self.state = folder / "lab-state"
        names = ["n1", "n2", "n3"]
        self.record, self.keeper = labs.up(
            self.state, "etcd", {"etcd": {"nodes": 3}}, names, with_root=True, leash=True
        )
        (folder / "state").mkdir(exist_ok=True)
        records.folder(folder / "state").symlink_to(records.folder(self.state))
        self.seats = Seats(self.record)

    def service(self) -> dict[str, Any]:
        return {**self.record.documents[0], "name": self.name, "environment": "default"}

    def end(self) -> None:
        """Its switch: the nodes themselves are hurt by `kill`."""
        for process in _parts(Path(self.record.folder), "switch"):
            process.kill()
            with suppress(psutil.TimeoutExpired):
                process.wait(10)

    def look_after(self) -> None:
        until(lambda: _marks(self.record) is not None, 20)

    def close(self) -> None:
        self.seats.end()
        assert self.keeper.stdin
        self.keeper.stdin.close()
        self.keeper.wait(timeout=20)
        labs.clear(self.state)

    def wrong(self, state: Path) -> list[str]:
        marks = _marks(self.record)
        found = ["its switch does not answer"] if marks is None else [f"disturbed by {m}" for m in marks]
        found += [f"{a} does not reach {b}" for a, b in sorted(self.seats.silent())]
        found += [
            f"{name} leaves no segments to the wire" for name in self.record.seats if not self._whole(name)
        ]
        return [f"{self.name}: {one}" for one in [*found, *self._nodes()]]

    def _nodes(self) -> list[str]:
        found = []
        for name in ("n1", "n2", "n3"):
            pid = int(Path(self.record.folder, "system", f"{name}.pid").read_text())
            there = [psutil.Process(p) for p in networks_of(self.record.networks[name])]
            here = [one for one in there if one.name() == "etcd"]
            stopped = [one for one in here if one.status() == psutil.STATUS_STOPPED]
            others = sorted(one.name() for one in there if one not in here)
            if len(here) != 1:
                found.append(
                    f"{name} runs {len(here)} times, pid file {pid}, beside it {others}, {self._last(name)}"
                )
            found += [f"{name} is stopped"] if stopped else []
        return found

    def _last(self, name: str) -> str:
        """What it said last: a node that was started and ended by itself is not what a fault left behind."""
        logs = sorted(Path(self.record.folder).rglob(f"*{name}*.log"))
        said = logs[0].read_text(errors="replace").splitlines() if logs else []
        return f"it said last: {said[-3:]}"

    def _whole(self, name: str) -> bool:
        """Whether the offload that the switch takes away meanwhile is there again."""
        from engine.lab.segment import device_of

        far = device_of(Path(self.record.folder)) if name == CLIENTS else "e0"
        return networks.inside(space(self.record, name).network, lambda: bool(_offload(far)))


def _marks(record: Record) -> list[str] | None:
    try:
        return list(switch.call(record.switch, {"do": "read"})["marks"])
    except EngineError:
        return None


def _parts(owner: Path, part: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            environ = process.environ()
            if environ.get(OWNER) == str(owner) and environ.get(PART) == part:
                found.append(process)
    return found


def networks_of(number: int) -> list[int]:
    found = []
    for pid in psutil.pids():
        with suppress(EngineError):
            if networks.number(pid) == number:
                found.append(pid)
    return found


def _offload(device: str) -> int:
    import ctypes

    order = ctypes.create_string_buffer(struct.pack("II", SEGMENTS, 0))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as there:
        fcntl.ioctl(there, _SIOCETHTOOL, struct.pack("16sP16x", device.encode(), ctypes.addressof(order)))
    return int(struct.unpack("II", order.raw[:8])[1])


class Ruled(Victim):
    """Three web servers in namespaces of their own, which rules and queues of the kernel hurt."""

    name, kind = "rules", "http"
    faults: Faults = {
        "partition halves": {"topology": "halves"}, "partition one-way": {"topology": "one-way"},
        "partition clients": {"topology": "clients-from-nodes n1"}, "partition ring": {"topology": "majorities-ring"},
        "loss": {"share": "30%", "between": "peers"}, "bandwidth": {"rate": "20kB", "between": "peers"},
    }  # fmt: skip

    def __init__(self, folder: Path) -> None:
        self.folder, self.stack = folder / self.name, ExitStack()
        self.folder.mkdir()
        self.net: Network = self.stack.enter_context(network(3))
        self._join()
        self.servers: dict[str, subprocess.Popen[bytes]] = {}
        self.look_after()

    def _join(self) -> None:
        """The board's own network to theirs."""
        hub = self.net.hub
        hub.ip("link", "add", "to-board", "type", "veth", "peer", "name", "board0", "netns", str(os.getpid()))
        hub.ip("link", "set", "to-board", "master", "br0", "up")
        for order in (["addr", "add", f"{HERE}/24", "dev", "board0"], ["link", "set", "board0", "up"]):
            subprocess.run(["ip", *order], check=True)

    def service(self) -> dict[str, Any]:
        nodes = [
            {"name": one.name, "address": f"{one.address}:80",
             "driver": {"process": {"pid_file": str(self.folder / f"{one.name}.pid")}}}
            for one in self.net.spaces
        ]  # fmt: skip
        return {"name": self.name, "kind": self.kind, "nodes": nodes}

    def end(self) -> None:
        server = self.servers["n1"]
        os.kill(server.pid, signal.SIGKILL)
        server.wait()

    def look_after(self) -> None:
        for one in self.net.spaces:
            if one.name in self.servers and self.servers[one.name].poll() is None:
                continue
            server = self.net.start(
                one, sys.executable, "-m", "http.server", "80", cwd=self.folder,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            self.servers[one.name] = server
            (self.folder / f"{one.name}.pid").write_text(str(server.pid))
            until(lambda server=server: networks.listening([server.pid], server.pid) == [80])

    def close(self) -> None:
        self.stack.close()

    def wrong(self, state: Path) -> list[str]:
        found = [f"{a} does not reach {b}" for a, b in sorted(seen([self.net.hub, *self.net.spaces]))]
        for one in [self.net.hub, *self.net.spaces]:
            found += [f"{one.name} has {text}" for text in _left(one.path)]
        found += [f"the board's network has {text}" for text in _left("/proc/self/ns/net")]
        found += [f"{name} does not run" for name, one in self.servers.items() if one.poll() is not None]
        return [f"{self.name}: {one}" for one in found]


def _left(place: str) -> list[str]:
    """Of rules, queues and devices of ours in a network."""
    rules = networks.inside(place, lambda: nft.order("list ruleset"))
    found = [
        line.strip(" {") for line in rules.splitlines() if line.startswith("table") and "chaosboard" in line
    ]
    found += [
        line
        for line in run(place, "tc", "qdisc").splitlines()
        if any(w in line for w in (" htb ", "tbf", "netem"))
    ]
    links = run(place, "ip", "-d", "link").splitlines()
    return found + [
        line.strip() for line in links if "alias chaosboard" in line and "chaosboard lab" not in line
    ]
