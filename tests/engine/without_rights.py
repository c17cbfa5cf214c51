"""Topologies where nobody has any rights: run by a test as a user without them. Prints what the system itself says.

    python -m tests.engine.without_rights FOLDER etcd LINK …

brings etcd of five nodes up on loopback behind link proxies, cuts each LINK (a fault of its own), heals one after
the other, and prints a line of JSON each time: the ordered pairs (from, to) of which `to` does not hear `from`, as
etcd itself says it in its metrics.

    python -m tests.engine.without_rights FOLDER SYSTEM

cuts the leader of another system from its peers until there is another one, and prints both.
"""

import json
import os
import re
import sys
import time
from pathlib import Path
from random import Random

import httpx

from engine import inspect, undo
from engine.faults.partition import Partition
from engine.lab.cluster import Cluster
from engine.lab.systems import REGISTRY
from engine.lab.systems.etcd import Etcd
from engine.target import Target
from tests.waiting import until

Pairs = set[tuple[str, str]]
ID = re.compile(r'etcd_server_id\{server_id="(\w+)"\} 1')
HEARD = re.compile(r'etcd_network_active_peers\{Local="\w+",Remote="(\w+)"\} (\d+)')
PATIENCE = 30.0  # seconds; etcd takes a peer for inactive when a stream has been silent for 5


def silent(cluster: Cluster) -> Pairs:
    """Asked of each member beside its links."""
    told = {
        node.name: httpx.get(f"http://{node.behind}/metrics", timeout=5, trust_env=False).text
        for node in cluster.nodes
    }
    names = {found[1]: name for name, text in told.items() if (found := ID.search(text))}
    return {
        (names[other], name)
        for name, text in told.items()
        for other, active in HEARD.findall(text)
        if active == "0"
    }


def settled(cluster: Cluster, wanted: Pairs) -> Pairs:
    """What is seen: when it is what is wanted, or at last."""
    end = time.monotonic() + PATIENCE
    while (seen := silent(cluster)) != wanted and time.monotonic() < end:
        time.sleep(0.1)  # between two looks
    return seen


def main() -> None:
    state = Path(sys.argv[1])
    os.environ["CHAOSBOARD_STATE"] = str(state)
    kind, links = sys.argv[2], sys.argv[3:]
    system = Etcd(nodes=5) if kind == "etcd" else REGISTRY.get(kind)()
    cluster = Cluster(system, state / "lab", state, linked=True)
    try:
        cluster.start(120)
        if kind == "etcd":
            hurt_and_heal(cluster, state, links)
        else:
            replace_the_leader(cluster, state)
    finally:
        cluster.stop()


def replace_the_leader(cluster: Cluster, state: Path) -> None:
    target = Target.from_dict(cluster.document())
    until(lambda: inspect.leader(target))
    first = inspect.leader(target)
    aim = Partition(topology="leader-alone").aim(target, first, Random(0))
    records = [
        undo.prepare(state, "r", "f", "partition", p.fault, p.node, 120, peers=p.peers) for p in aim.pieces
    ]
    for record in records:
        undo.inject(state, record)
    seen: list[str] = []
    until(lambda: seen.append(inspect.leader(target, 4.0) or first) or seen[-1] != first, 60)
    healed = {found.state for record in records if (found := undo.heal(state, record.id))}
    until(cluster.ready, 60)
    told = {"user": os.geteuid(), "first": first, "then": seen[-1], "healed": sorted(healed)}
    print(json.dumps({**told, "left": len(undo.records(state))}), flush=True)


def hurt_and_heal(cluster: Cluster, state: Path, links: list[str]) -> None:
    target = Target.from_dict(cluster.documents()[0])
    cut: dict[str, tuple[Pairs, list[str]]] = {}
    for link in links:
        aim = Partition(links=[link]).aim(target, None, Random(0))
        prepared = [
            undo.prepare(state, "r", link, "partition", p.fault, p.node, 60, together=True, peers=p.peers)
            for p in aim.pieces
        ]
        cut[link] = set(aim.links), [undo.inject(state, record).id for record in prepared]
    for link in [*links, ""]:
        wanted = {pair for pairs, _ in cut.values() for pair in pairs}
        print(json.dumps({"cut": sorted(wanted), "seen": sorted(settled(cluster, wanted))}), flush=True)
        states = {undo.heal(state, id).state for id in cut.pop(link, (None, ()))[1]}  # type: ignore[union-attr]
        print(json.dumps({"healed": sorted(states)}), flush=True)
    print(json.dumps({"user": os.geteuid(), "left": len(undo.records(state))}), flush=True)


if __name__ == "__main__":
    main()
