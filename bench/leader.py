"""Who leads, as a run's report tells it, against etcd's own log: `python -m bench.leader [ROUNDS]`.

A 3-node etcd loses its leader (SIGKILL) in each round. etcd's raft log says when a member lost its
leader and when it saw a new one elected; the report says when its nodes were seen to. The line
that counts: the largest difference, in milliseconds, and whether it is within 50.
"""

import json
import os
import sys
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

from engine import runner
from engine.experiment import Experiment
from engine.lab.cluster import Cluster
from engine.lab.systems.etcd import Etcd

BOUND = 0.050  # seconds


def document(cluster: Cluster) -> dict[str, Any]:
    return {
        "name": "the leader dies",
        "targets": [cluster.document()],
        "steady_state": [{"probe": "etcd", "tolerance": {"availability": ">= 99%", "p99": "<= 500ms"}}],
        "baseline": "1s",
        "faults": [{"at": "0s", "for": "4s", "kill": {"nodes": "leader"}}],
        "recovery": {"timeout": "30s", "stable": "2s"},
    }


def logged(cluster: Cluster, since: float) -> dict[str, float]:
    """The first "lost leader" and the first "elected leader" after `since`, by etcd's clock (epoch s)."""
    found: dict[str, float] = {}
    for node in cluster.nodes:
        for line in node.log_file.read_text().splitlines():
            for word in ("lost", "elected"):
                if f" {word} leader " not in line:
                    continue
                at = datetime.fromisoformat(json.loads(line)["ts"]).timestamp()
                if at > since:
                    found[word] = min(at, found.get(word, at))
    return found


def measure(cluster: Cluster, directory: Path, run_id: str) -> tuple[dict[str, float], dict[str, float]]:
    """What the report says and what etcd says of one killed leader: lost, elected (epoch s)."""
    one = Experiment.from_dict(document(cluster))
    result = runner.run(
        one, one.targets[0], directory=directory / run_id, state=directory, emit=lambda events: None,
        stop=lambda: "", run_id=run_id,
    )  # fmt: skip
    if not result["leader_changes"]:
        sys.exit(f"no change of leader was seen: {result['headline']}")
    start = datetime.fromisoformat(result["started_at"]).timestamp()
    change = result["leader_changes"][0]
    ours = {"lost": start + change["lost_at"], "elected": start + change["elected_at"]}
    return ours, logged(cluster, start + result["faults"][0]["injected_at"] - 0.01)


def main(rounds: int) -> int:
    directory = Path(tempfile.mkdtemp(prefix="bench-leader-"))
    os.environ["CHAOSBOARD_STATE"] = str(directory)
    cluster = Cluster(Etcd(), directory / "etcd", directory)
    cluster.start()
    worst = 0.0
    try:
        print("round  leader lost: report - etcd   new leader: report - etcd")
        for i in range(rounds):
            ours, theirs = measure(cluster, directory, f"round-{i}")
            off = {word: ours[word] - theirs[word] for word in ("lost", "elected")}
            worst = max(worst, *map(abs, off.values()))
            print(
                f"{i + 1:>5}  {off['lost'] * 1e3:>+22.1f} ms   {off['elected'] * 1e3:>+22.1f} ms", flush=True
            )
    finally:
        cluster.stop()
    print(
        f"leader: ours {worst * 1e3:.1f} ms off etcd's log, bound {BOUND * 1e3:.0f} ms, ratio {worst / BOUND:.2f}"
    )
    return 0 if worst <= BOUND else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 3))
