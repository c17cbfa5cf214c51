"""What the kernel driver can do without root: run by a test as root of a user namespace, and nowhere else."""

import os
import random
import sys
import tempfile
from pathlib import Path

from engine import undo
from engine.faults.partition import Partition
from engine.host import networks
from engine.target import Node, Target
from tests.networks import network, seen, tables
from tests.waiting import until


def main() -> None:
    state = Path(tempfile.mkdtemp(dir=sys.argv[1]))
    os.environ["CHAOSBOARD_STATE"] = str(state)
    with network(2) as net:
        victims = [net.start(space, "sleep", "600") for space in net.spaces]
        until(lambda: all(networks.elsewhere(one.pid) for one in victims))
        nodes = tuple(
            Node(space.name, f"{space.address}:80", control="process", control_params={"pid": one.pid})
            for space, one in zip(net.spaces, victims, strict=True)
        )
        aim = Partition(links=["n1 -> n2"]).aim(Target("two", nodes), None, random.Random(0))
        for piece in aim.pieces:
            undo.inject(
                state,
                undo.prepare(state, "r", "f0", "partition", piece.fault, piece.node, 60, peers=piece.peers),
            )
        print("cut", sorted(seen(net.spaces)))
        print("healed", [healed.state for healed in undo.heal_all(state)], sorted(seen(net.spaces)))
        print("left", [tables(space) for space in net.spaces])


if __name__ == "__main__":
    main()
