"""Real systems hurt under load, and what their histories say: `python -m bench.real [WORD …]`.

Each trial is a whole run of the engine on a system of the lab. Nodes are killed and paused where all share a
network, and cut from one another where each has a namespace of its own. What was found is printed, whatever
it is: each trial as it ends, and all of them as a table. WORDs choose the trials whose line has them all. The
reports are kept where the last line says.
"""

import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from bench import _network as network
from engine import runner
from engine.clock import now_ns
from engine.errors import EngineError
from engine.events import Event
from engine.experiment import Experiment
from engine.lab import CannotRun
from engine.lab.cluster import Cluster
from engine.lab.systems import REGISTRY as SYSTEMS

FAULTS: dict[str, dict[str, Any]] = {
    "leader killed": {"kill": {"nodes": "leader"}},
    "leader paused": {"pause": {"nodes": "leader"}},
    "leader cut off": {"partition": {"topology": "leader-alone"}},
    "majorities ring": {"partition": {"topology": "majorities-ring"}},
    "followers cut off": {"partition": {"links": ["leader <-> followers"]}},
    "none": {},
}
CUT = ("cut off", "ring")
LASTS = 6.0  # seconds that each fault lasts, unless a trial says otherwise
MARK_WITHIN = 1.0  # seconds from a violation to its mark
PROBES = {"redis": {"redis": {"check": "ping"}}, "postgres": {"postgres": {}}}


@dataclass(frozen=True)
class Trial:
    system: str
    fault: str
    workload: str
    options: dict[str, Any] = field(default_factory=dict)
    expect: dict[str, Any] = field(default_factory=dict)
    told: str = ""  # what is special, in a word or two
    lasts: float = LASTS

    @property
    def name(self) -> str:
        return f"{self.system}, {self.fault}, {self.workload}{', ' if self.told else ''}{self.told}"

    @property
    def apart(self) -> bool:
        """Does each node need a network of its own?"""
        return any(word in self.fault for word in CUT)

    def document(self, cluster: Cluster) -> dict[str, Any]:
        target = cluster.documents()[0]
        kind = target["kind"]
        workload = {"clients": 10, "rate": "200/s", "timeout": "2s", **self.options}
        fault = FAULTS[self.fault]
        return {
            "name": self.name,
            "targets": [target],
            "steady_state": [
                {"probe": PROBES.get(kind, {kind: {}}), "tolerance": {"availability": ">= 50%"}}
            ],
            "workload": {self.workload: workload},
            "baseline": "2s" if fault else f"{self.lasts}s",
            "faults": [{"at": "0s", "for": f"{self.lasts}s", **fault}] if fault else [],
            "recovery": {"timeout": "30s", "stable": "3s"},
            "expect": self.expect,
        }


def trials() -> Iterator[Trial]:
    raft = ("leader killed", "leader paused", "leader cut off", "majorities ring")
    for fault in raft:
        for workload in ("register", "cas-register", "set", "list-append"):
            yield Trial("etcd", fault, workload)
    for system in ("nats", "zookeeper", "ceph-mon"):
        for fault in raft[:3]:
            yield Trial(system, fault, "register")
    yield Trial("valkey", "leader killed", "set", expect={"lost_writes": 0})
    yield Trial("valkey", "leader paused", "register", expect={"lost_writes": 0})
    for workload in ("set", "register"):
        yield Trial("valkey", "leader cut off", workload, expect={"lost_writes": 0}, lasts=10.0)
    wait = {"client": {"wait": 1, "wait_timeout": "1s"}}
    yield Trial("valkey", "leader cut off", "set", wait, {"lost_writes": 0}, "WAIT 1", lasts=10.0)
    replicas = {"read_from": "replicas", "keys": 5, "reads": "70%"}
    stale = {"max_staleness": "1s"}
    yield Trial("valkey", "none", "register", replicas, stale, "replica reads")
    yield Trial("valkey", "followers cut off", "register", replicas, stale, "replica reads", lasts=4.0)
    for level in ("read committed", "repeatable read", "serializable"):
        client = {"client": {"isolation": level.replace(" ", "-")}, "keys": 3, "clients": 10}
        for workload in ("list-append", "rw-register"):
            yield Trial("postgres", "none", workload, client, {"isolation": "serializable"}, level)
        bank = {"client": client["client"], "clients": 10}
        yield Trial("postgres", "none", "bank", bank, told=level)
    serializable = {"client": {"isolation": "serializable"}, "keys": 3}
    for fault in ("leader killed", "leader paused"):
        yield Trial(
            "postgres", fault, "list-append", serializable, {"isolation": "serializable"}, "serializable"
        )
    yield Trial("postgres", "none", "register", replicas, stale, "standby reads")
    yield Trial("postgres", "followers cut off", "register", replicas, stale, "standby reads", lasts=4.0)


class Found(NamedTuple):
    """Of one trial: `mark` is the seconds from a violation to its mark, None where none was marked."""

    name: str
    verdict: str
    judged: bool = False
    mark: float | None = None
    acknowledged: int | None = None
    lost: int | None = None
    why: str = ""  # of what is violated or unknown


class Listener:
    """Hears a run, and tells how long after a violation its mark was there."""

    def __init__(self) -> None:
        self.zero: int | None = None
        self.mark: float | None = None
        self.what = ""

    def hear(self, events: list[Event]) -> None:
        for event in events:
            if event.kind == "phase" and "ns" in event.data:
                self.zero = int(event.data["ns"])
            if event.kind == "violation" and self.zero is not None and self.mark is None:
                self.mark = (now_ns() - self.zero) / 1e9 - event.at
                self.what = str(event.data.get("kind"))


@contextmanager
def serving(system: str, apart: bool, directory: Path) -> Iterator[Cluster]:
    """The system on places of its own, or on loopback. Raises CannotRun."""
    kind = SYSTEMS.get(system)()
    with network.spaces(kind.seats) if apart else nullcontext([]) as places:
        cluster = Cluster(kind, directory, directory.parent, places=places)
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()


def attempt(trial: Trial, cluster: Cluster, directory: Path, number: int) -> Found:
    """Prints what was found, and gives it."""
    heard = Listener()
    try:
        cluster.restore()
        one = Experiment.from_dict(trial.document(cluster))
        result = runner.run(
            one, one.targets[0], directory=directory / f"{number:02}", state=directory, emit=heard.hear,
            stop=lambda: "", run_id=f"{number:02}",
        )  # fmt: skip
    except EngineError as error:
        print(f"{trial.name}: NOT RUN, {error}", flush=True)
        return Found(trial.name, "not run", why=str(error))
    tell(trial, result, heard)
    counts = result.get("operations") or {}
    checks = [*result.get("checks", []), *result.get("expectations", [])]
    why = "; ".join(c["headline"] for c in checks if c["verdict"] == result["verdict"] != "held")
    return Found(
        trial.name, result["verdict"], result.get("ending") == "finished", heard.mark,
        counts.get("acknowledged"), counts.get("lost"), why or result["headline"] * (result["verdict"] != "held"),
    )  # fmt: skip


def tell(trial: Trial, result: dict[str, Any], heard: Listener) -> None:
    counts = result.get("operations") or {}
    figures = ", ".join(
        f"{counts[name]:,} {name}" for name in ("attempted", "acknowledged", "unknown", "lost")
        if counts.get(name) is not None
    )  # fmt: skip
    print(f"{trial.name}: {result['verdict'].upper()}, {figures or result['headline']}")
    for check in [*result.get("checks", []), *result.get("expectations", [])]:
        if check["name"] in ("recovers", "clean") and check["verdict"] == "held":
            continue
        print(f"    {check['name']:<14}{check['verdict']:<9}{check['headline'][:150]}")
        for story in check.get("stories", [])[:3]:
            print(f"      {story['title']}: {' '.join(story['sentences'])[:200]}")
    if heard.mark is not None:
        print(
            f"    live: the mark ({heard.what}) was there {heard.mark * 1e3:.0f} ms after the violation was certain"
        )
    sys.stdout.flush()


def table(found: Sequence[Found]) -> None:
    width = max((len(one.name) for one in found), default=0)
    print(f"\n{'trial':<{width}}  verdict   acknowledged   lost  why")
    for one in found:
        counts = [f"{'' if n is None else f'{n:,}':>{w}}" for n, w in ((one.acknowledged, 12), (one.lost, 5))]
        print(
            f"{one.name:<{width}}  {one.verdict.upper():<9}{counts[0]} {counts[1]}   {one.why[:100]}".rstrip()
        )


def group(system: str, apart: bool, chosen: Sequence[Trial], directory: Path, first: int) -> list[Found]:
    try:
        with serving(system, apart, directory / f"{system}-{'apart' if apart else 'together'}") as cluster:
            return [attempt(trial, cluster, directory, first + i) for i, trial in enumerate(chosen)]
    except CannotRun as error:
        print(f"{system}: NOT RUN, {error}", flush=True)
        return [Found(trial.name, "not run", why=str(error)) for trial in chosen]


def main(words: list[str]) -> int:
    network.alone("bench.real")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that no system is left running
    directory = Path(tempfile.mkdtemp(prefix="bench-real-"))
    directory.chmod(0o755)
    os.environ["CHAOSBOARD_STATE"] = str(directory)
    chosen = sorted(
        (t for t in trials() if all(word in t.name for word in words)), key=lambda t: (t.system, t.apart)
    )
    start, found = time.monotonic(), list[Found]()
    for (system, apart), some in groupby(chosen, key=lambda t: (t.system, t.apart)):
        found += group(system, apart, list(some), directory, len(found))
    table(found)
    marks = [one.mark for one in found if one.mark is not None]
    judged = sum(one.judged for one in found)
    print(
        f"real: {judged} of {len(chosen)} trials judged in {time.monotonic() - start:.0f} s; kept in {directory}"
    )
    if marks:
        print(
            f"live marks: ours {max(marks):.2f} s after the violation at most, of {len(marks)}; "
            f"bound {MARK_WITHIN:g} s, ratio {max(marks) / MARK_WITHIN:.2f}"
        )
    return 0 if judged == len(chosen) and max(marks, default=0.0) <= MARK_WITHIN else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
