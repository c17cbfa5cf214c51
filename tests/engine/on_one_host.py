"""The kernel driver on nodes that share the network of chaosboard: run by tests in a namespace that stands for a host.

python -m tests.engine.on_one_host SCENE STATE
"""

import os
import random
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine import undo, warden
from engine.drivers.kernel import Kernel
from engine.errors import Refused
from engine.faults import Fault
from engine.faults.partition import Partition
from engine.host import networks, nft
from engine.target import Node, Target
from tests.kernel import end_warden
from tests.waiting import until

SERVE = (
    "import socket, sys; s = socket.create_server((sys.argv[1], int(sys.argv[2]))); kept = []\n"
    "while True: kept.append(s.accept())"
)
FOREIGN = """table inet firewall {
 chain in {
  type filter hook input priority 0; policy accept;
  tcp dport 99 drop
 }
}
table ip nat {
 chain out {
  type nat hook postrouting priority 100;
 }
}
"""
ADDRESSES = ("10.9.0.1", "10.9.0.2", "10.9.0.3")


@contextmanager
def serving(*places: tuple[str, int], python: str = sys.executable, **environ: str) -> Iterator[list[int]]:
    """The pids of servers, one for each place."""
    servers = [
        subprocess.Popen([python, "-c", SERVE, host, str(port)], env={**os.environ, **environ})
        for host, port in places
    ]
    try:
        until(lambda: all(networks.listening([one.pid], one.pid) for one in servers))
        yield [one.pid for one in servers]
    finally:
        for one in servers:
            one.kill()
            one.wait()


def node(name: str, address: str, pid: int) -> Node:
    return Node(name, address, control="process", control_params={"pid": pid})


def two(state: Path) -> None:
    """Nodes at one address are known by their ports."""
    with serving(("127.0.0.1", 81), ("127.0.0.1", 82)) as pids:
        target = Target(
            "two", tuple(node(f"n{i}", f"127.0.0.1:{80 + i}", pid) for i, pid in enumerate(pids, 1))
        )
        inject(state, target, Partition(nodes=["n1"]))
        print(f"cut from clients: one {reached(81)}, two {reached(82)}")
        [healed] = undo.heal_all(state)
        print(f"healed: one {reached(81)}, two {reached(82)}, {healed.state}, {tables()}")
        fault = Partition(nodes=["n1"], between="peers")
        refused("rehearsed", lambda: fault.rehearse(target))
        refused("refused", lambda: inject(state, target, fault))
        inject(state, target, Partition(nodes=["n1"], ports=["81"], answer="reset"))
        print(f"answered: one {told(81)}, two {told(82)}")
        undo.heal_all(state)
        refused("another's port", lambda: inject(state, target, Partition(nodes=["n1"], ports=["82"])))
        print(f"{len(undo.records(state)) or 'no'} record, {tables()}")


def peers(state: Path) -> None:
    """Nodes at addresses of their own are told apart, and what else is at these addresses is left alone."""
    with serving(*((a, 80) for a in ADDRESSES)) as pids, serving((ADDRESSES[1], 81), (ADDRESSES[0], 81)):
        nodes = (
            node(f"n{i}", f"{a}:80", pid) for i, (a, pid) in enumerate(zip(ADDRESSES, pids, strict=True), 1)
        )
        inject(state, Target("three", tuple(nodes)), Partition(links=["n1 <-> n2"]))
        one, two, three = ADDRESSES
        ways = [(two, one), (one, two), (three, one), (three, two), (one, three)]
        print("by peer:", *(reached(80, *way) for way in ways))
        print("another service at these addresses:", reached(81, one, two), reached(81, two, one))
        undo.heal_all(state)
        print("healed:", *(reached(80, *way) for way in ways), tables())


def spared(state: Path) -> None:
    """What keeps the host and the board reachable is never cut, whatever is asked."""
    nft.order(FOREIGN)
    before = nft.order("list ruleset")
    (state / "sshd").symlink_to(sys.executable)
    one = ADDRESSES[0]
    with (
        serving((one, 22), python=str(state / "sshd"), PYTHONHOME="", LD_LIBRARY_PATH="") as [sshd],
        serving((one, 6379), CHAOSBOARD_PART="broker"), serving((one, 80), (one, 53)) as [web, names],
        idle() as lonely,
    ):  # fmt: skip
        print("spared:", networks.lifelines(os.getpid()))
        target = Target("one", (node("n1", f"{one}:80", web),))
        inject(state, target, Partition(nodes=["n1"], between="all"))
        print("all is cut:", reached(80, one, one), "but", reached(22, one, one), reached(6379, one, one))
        undo.heal_all(state)
        for name, address, pid in (
            ("ssh's port", f"{one}:22", web), ("the broker's port", f"{one}:6379", web), ("sshd", f"{one}:22", sshd),
            ("no port is known", f"{one}:90", lonely), ("the name server", f"{one}:53", names),
        ):  # fmt: skip
            hurt = Target("one", (node("n1", address, pid), Node("n2", f"{ADDRESSES[1]}:80")))
            refused(name, lambda hurt=hurt: capture_and_hurt(hurt))  # type: ignore[misc]
        refused("by port", lambda: inject(state, target, Partition(nodes=["n1"], ports=["80", "22"])))
        print("foreign tables are as they were:", nft.order("list ruleset") == before)


@contextmanager
def idle() -> Iterator[int]:
    with subprocess.Popen(["sleep", "600"]) as one:
        try:
            yield one.pid
        finally:
            one.kill()


def capture_and_hurt(target: Target) -> None:
    """As the driver is asked when the node itself may be hurt."""
    kernel = Kernel()
    captured = kernel.capture_packets(target.nodes[0], target.nodes[1:])
    kernel.disturb_packets(captured, "m", {"cut": True, "between": "peers"}, time.time() + 5)


def swept(state: Path) -> None:
    """Rules of a dead run whose record is gone are found by the warden that runs, when their time is over."""
    with serving((ADDRESSES[0], 80)) as [pid]:
        target = Target("one", (node("n1", f"{ADDRESSES[0]}:80", pid),))
        [record] = inject(state, target, Partition(nodes=["n1"]), seconds=3.0)
        (undo.folder(state) / f"{record.id}.json").unlink()
        warden.ensure(state)
        print(f"lost: {tables()}")
        until(lambda: reached(80, ADDRESSES[0], ADDRESSES[0]), timeout=10)
        print("its time is over")
        until(lambda: tables() == "no table", timeout=30)
        print("removed")
    end_warden(state)


def inject(state: Path, target: Target, fault: Fault, seconds: float = 30) -> list[undo.UndoRecord]:
    records = [
        undo.prepare(state, "r", "f0", "partition", piece.fault, piece.node, seconds, peers=piece.peers)
        for piece in fault.aim(target, None, random.Random(0)).pieces
    ]
    return [undo.inject(state, record) for record in records]


def refused(name: str, attempt: object) -> None:
    try:
        attempt()  # type: ignore[operator]
    except Refused as error:
        said = re.sub(r"pid \d+, .*?…", "PID", error.message)
        print(f"{name}: {said.partition(':')[0]}")
    else:
        print(f"{name}: it was done")


def reached(port: int, source: str = "127.0.0.1", there: str = "127.0.0.1") -> bool:
    return told(port, source, there) == "yes"


def told(port: int, source: str = "127.0.0.1", there: str = "127.0.0.1") -> str:
    try:
        socket.create_connection((there, port), 0.3, source_address=(source, 0)).close()
    except OSError as error:
        return type(error).__name__
    return "yes"


def tables() -> str:
    return "tables" if "chaosboard" in nft.order("list ruleset") else "no table"


if __name__ == "__main__":
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for address in ADDRESSES:
        subprocess.run(["ip", "addr", "add", f"{address}/32", "dev", "lo"], check=True)
    {one.__name__: one for one in (two, peers, spared, swept)}[sys.argv[1]](Path(sys.argv[2]))
