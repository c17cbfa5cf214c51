"""Each topology on an etcd cluster of five nodes in a lab: what reaches what is asked of the nodes themselves.

    python -m bench.topologies [--nodes 5] [--without-root] [--only TOPOLOGY]      (make bench ONLY=topologies)

Every seat of the lab, the clients' too, sends datagrams to every other (so each way is seen for itself) and
opens connections to it (which takes both ways). What does not come through must be exactly what the topology
says, and all must come through again after healing. Then each fault on packets, between a node and its peers,
its clients or all: on which ways it is seen. There is no peer to measure beside it: nobody else has topologies.
Without root all of it, the bench too, is in a user namespace.
"""

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from engine import inspect, links, switch, undo
from engine.faults import REGISTRY, Fault
from engine.faults.bandwidth import Bandwidth
from engine.faults.corrupt import Corrupt
from engine.faults.duplicate import Duplicate
from engine.faults.latency import Latency
from engine.faults.loss import Loss
from engine.faults.partition import Partition
from engine.faults.reorder import Reorder
from engine.lab import labs, namespaces
from engine.lab.records import Record
from engine.target import Target
from engine.topology import CLIENTS
from tests.apart import apart, go_apart
from tests.reaching import Pair, Seats, Stream, seats
from tests.waiting import until

COUNT = 80  # datagrams each way for a fault on packets
TOPOLOGIES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("all-from-all", ()), ("halves", ()), ("one-alone", ()), ("minority", ()), ("majorities-ring", ()),
    ("bridge", ()), ("one-way n1", ()), ("leader-alone", ()), ("clients-from-nodes", ()),
    ("zone-from-zone zone-a zone-b", ()), ("", ("n1 -> n2", "n3 <-> n4", "clients -> n5")),
)  # fmt: skip
# On which ways each is seen: every one by what comes of COUNT datagrams
FAULTS: tuple[tuple[Fault, Callable[[Stream | None], bool]], ...] = (
    (Latency(delay=0.1), lambda s: s is not None and s.fastest > 0.09),
    (Loss(share=0.5), lambda s: s is None or s.different < COUNT * 0.8),
    (Duplicate(share=0.5), lambda s: s is not None and s.all > s.different * 1.2),
    (Reorder(share=0.5), lambda s: s is not None and s.overtaken > COUNT * 0.1),
    (Corrupt(share=0.5), lambda s: s is None or s.different < COUNT * 0.8),
    (Bandwidth(rate=5_000.0), lambda s: s is None or s.at_last > 0.2),
)


@dataclass(frozen=True)
class Outcome:
    """`wanted` and `seen` are ordered pairs; `again` is seconds from the healing until etcd serves everywhere."""

    wanted: frozenset[Pair]
    seen: frozenset[Pair]
    apart: frozenset[Pair]  # between which no connection could be opened
    after: frozenset[Pair]  # what did not come through when it was healed
    states: tuple[str, ...]
    removed: float
    again: float
    left: int  # disturbances at the switch

    @property
    def one_way(self) -> bool:
        return any((b, a) not in self.wanted for a, b in self.wanted)

    @property
    def held(self) -> bool:
        both = self.wanted | {(b, a) for a, b in self.wanted}
        clean = set(self.states) == {"clean"} and not self.after and not self.left
        return self.seen == self.wanted and self.apart == both and clean


@contextmanager
def cluster(nodes: int) -> Iterator[tuple[Record, Target, Path]]:
    """etcd in a lab, its nodes tagged by zone; the state directory that it has is this process's."""
    with tempfile.TemporaryDirectory(prefix="topologies-") as folder:
        os.environ["CHAOSBOARD_STATE"] = folder
        names = [f"n{i + 1}" for i in range(nodes)]
        system = {"etcd": {"nodes": nodes}}
        record, keeper = labs.up(Path(folder), "etcd", system, names, with_root=True, leash=True)
        try:
            yield record, zoned(Target.from_dict(record.documents[0])), Path(folder)
        finally:
            assert keeper.stdin
            keeper.stdin.close()
            keeper.wait(timeout=20)
            labs.clear(Path(folder))


def zoned(target: Target) -> Target:
    tags = ["zone-a" if i < len(target.nodes) // 2 else "zone-b" for i in range(len(target.nodes))]
    return replace(
        target, nodes=tuple(replace(n, tags=(t,)) for n, t in zip(target.nodes, tags, strict=True))
    )


def inject(state: Path, target: Target, fault: Fault) -> frozenset[Pair]:
    """As a run does: aimed once, a record for each piece. The links that it means to cut."""
    until(lambda: inspect.leader(target), 30)
    aim = fault.aim(target, inspect.leader(target), random.Random(7))
    kind = REGISTRY.name_of(type(fault))
    for piece in aim.pieces:
        record = undo.prepare(state, "r", "f0", kind, piece.fault, piece.node, 60, peers=piece.peers)
        undo.inject(state, record)
    return frozenset(aim.links)


def topology(
    text: str, by_hand: tuple[str, ...], record: Record, target: Target, state: Path, all: Seats
) -> Outcome:
    wanted = inject(state, target, Partition(topology=text, links=list(by_hand)))
    seen, apart = all.silent(), all.unconnected()
    began = time.monotonic()
    states = tuple(healed.state for healed in undo.heal_all(state))
    removed = time.monotonic() - began
    after = all.silent()
    until(lambda: all_reachable(target), 60)
    again = time.monotonic() - began
    left = len(switch.call(record.switch, {"do": "read"})["marks"])
    return Outcome(wanted, frozenset(seen), frozenset(apart), frozenset(after), states, removed, again, left)


def all_reachable(target: Target) -> bool:
    found = inspect.check(target)
    return found.leader is not None and all(node.reachable for node in found.nodes)


def shaped(
    fault: Fault, between: str, seen_by: Callable[[Stream | None], bool], state: Path, target: Target, all: Seats
) -> tuple[set[Pair], set[Pair], set[Pair]]:  # fmt: skip
    """The ways on which it must be seen, those on which it is, and those on which it is when it was healed."""
    node = target.nodes[0].name
    peers = {other.name for other in target.nodes} - {node}
    others = {"peers": peers, "clients": {CLIENTS}, "all": peers | {CLIENTS}}[between]
    inject(state, target, replace(fault, nodes=[node], between=between))  # type: ignore[call-arg]  # each of them has it
    pause = (
        0.0 if isinstance(fault, Reorder) else 0.002
    )  # on a busy machine, those behind would come too late to overtake
    found = all.streams(COUNT, pause=pause, settles=2.0)
    seen = {pair for pair in all.pairs if seen_by(found.get(pair))}
    undo.heal_all(state)
    found = all.streams(COUNT, pause=pause, settles=2.0)
    left = {pair for pair in all.pairs if seen_by(found.get(pair))}
    return {(node, other) for other in others} | {(other, node) for other in others}, seen, left


def show(name: str, found: Outcome) -> None:
    print(
        f"{name:<30}{len(found.wanted):>4}{len(found.seen):>6}{len(found.apart):>7}"
        f"{'yes' if found.one_way else '':>9}{found.removed * 1e3:>12.0f}{found.again * 1e3:>12.0f}   "
        f"{'held' if found.held else f'NOT held {difference(found)}'}",
        flush=True,
    )


def difference(found: Outcome) -> str:
    """What was not as it should be."""
    parts = {
        "wrongly cut": found.seen - found.wanted, "not cut": found.wanted - found.seen,
        "apart": found.apart ^ (found.wanted | {(b, a) for a, b in found.wanted}), "after": found.after,
    }  # fmt: skip
    return f"{ {k: sorted(v) for k, v in parts.items() if v} } {found.states} left {found.left}"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--nodes", type=int, default=5)
    parser.add_argument(
        "--without-root", action="store_true", help="in a user namespace, also where we are root"
    )
    parser.add_argument("--only", help="one topology, and no faults on packets")
    told = parser.parse_args()
    if told.without_root or os.geteuid():
        argv = (sys.executable, "-m", "bench.topologies", *sys.argv[1:])
        if why := go_apart(*argv, without_root=True):
            raise SystemExit(why)
    if why := namespaces.why_not(True):
        raise SystemExit(why)
    good = True
    with cluster(told.nodes) as (record, target, state), seats(record) as all:
        by = sorted({way.by for way in links.ways(target).values()})
        root = "without" if apart() else "with"
        print(
            f"etcd on {told.nodes} nodes, {root} root, load {os.getloadavg()[0]:.1f}; links are cut by: {', '.join(by)}"
        )
        print(
            f"{'topology':<30}{'cut':>4}{'seen':>6}{'apart':>7}{'one way':>9}{'removed ms':>12}{'again ms':>12}"
        )
        chosen = [one for one in TOPOLOGIES if told.only in (None, one[0])]
        for text, by_hand in chosen or [(told.only, ())]:
            found = topology(text, by_hand, record, target, state, all)
            show(text or "; ".join(by_hand), found)
            good &= found.held
        if told.only:
            return 0 if good else 1
        print(f"\n{'fault':<12}{'between':<10}{'ways':>5}{'seen on':>9}{'after':>7}")
        for fault, seen_by in FAULTS:
            for between in ("peers", "clients", "all"):
                wanted, seen, left = shaped(fault, between, seen_by, state, target, all)
                held = wanted == seen and not left
                good &= held
                told_ = "held" if held else f"NOT held {sorted(wanted ^ seen)} {sorted(left)}"
                print(
                    f"{REGISTRY.name_of(type(fault)):<12}{between:<10}{len(wanted):>5}{len(seen):>9}{len(left):>7}"
                    f"   {told_}",
                    flush=True,
                )
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
