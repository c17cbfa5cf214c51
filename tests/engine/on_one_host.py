"""The kernel driver on two nodes that share the network of chaosboard: run by a test in a namespace, as a host."""

import random
import socket
import subprocess
import sys
from pathlib import Path

from engine import undo
from engine.errors import Refused
from engine.faults import Fault
from engine.faults.partition import Partition
from engine.host import networks, nft
from engine.target import Node, Target
from tests.waiting import until

SERVE = "import socket, sys; s = socket.create_server(('127.0.0.1', int(sys.argv[1]))); [s.accept() for _ in iter(int, 1)]"


def main(state: Path) -> None:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    servers = [subprocess.Popen([sys.executable, "-c", SERVE, str(port)]) for port in (81, 82)]
    try:
        until(lambda: all(networks.listening([one.pid], one.pid) for one in servers))
        nodes = [
            Node(f"n{i}", f"127.0.0.1:{80 + i}", control="process", control_params={"pid": one.pid})
            for i, one in enumerate(servers, 1)
        ]
        show(state, Target("two", tuple(nodes)))
    finally:
        for one in servers:
            one.kill()
            one.wait()


def show(state: Path, target: Target) -> None:
    inject(state, target, Partition(nodes=["n1"]))
    print(f"cut from clients: one {answers(81)}, two {answers(82)}")
    [healed] = undo.heal_all(state)
    print(f"healed: one {answers(81)}, two {answers(82)}, {healed.state}, {tables()}")
    fault = Partition(nodes=["n1"], between="peers")
    for name, attempt in (
        ("rehearsed", lambda: fault.rehearse(target)),
        ("refused", lambda: inject(state, target, fault)),
    ):
        try:
            attempt()
        except Refused as error:
            left = f", {len(undo.records(state)) or 'no'} record, {tables()}" if name == "refused" else ""
            print(f"{name}: {error.message.partition(':')[0]}{left}")


def inject(state: Path, target: Target, fault: Fault) -> None:
    for piece in fault.aim(target, None, random.Random(0)).pieces:
        record = undo.prepare(state, "r", "f0", "partition", piece.fault, piece.node, 30, peers=piece.peers)
        undo.inject(state, record)


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 0.3).close()
    except OSError:
        return False
    return True


def tables() -> str:
    return "tables" if nft.order("list ruleset") else "no table"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
