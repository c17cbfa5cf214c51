"""Is a measured outage true? Stops a server for exactly 500 ms, and compares what the prober measured.

    python -m bench.truth [--times 20]      (make bench ONLY=truth)

A separate script stops and continues the server and says when, on the same monotonic clock.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

import psutil

from bench import _servers as servers
from bench._witness import Witness
from engine.clock import hurry
from engine.parameters import dump
from engine.probes import REGISTRY, Probe
from engine.recovery import Outage, outages
from engine.samples import load
from engine.series import readings
from engine.target import Target

LASTS, TIMEOUT = 0.5, 0.1
AROUND = 50_000_000  # ns before and after a stop in which the machine must not be held up
INTERVALS = (0.1, 0.01, 0.001)
ROOT = Path(__file__).resolve().parents[1]


class Stop(NamedTuple):
    stopped: int
    continued: int

    @property
    def seconds(self) -> float:
        return (self.continued - self.stopped) / 1e9


class Prober:
    """The prober of the product, as a child on its pipe."""

    def __init__(
        self, server: servers.Server, kind: str, probe: Probe, every: float, directory: Path
    ) -> None:
        row = {"name": kind, "kind": kind, "params": dump(probe), "every": every, "timeout": TIMEOUT}
        target = Target("bench", (server.node,), kind).to_dict()
        spec = {"probes": [row], "target": target, "leader": None, "directory": str(directory)}
        argv = [sys.executable, "-m", "engine.prober"]
        self.process = subprocess.Popen(
            argv, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._say(json.dumps(spec))
        self._expect("ready")
        self._since = (time.monotonic(), self._cpu())

    def _say(self, line: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def _expect(self, word: str) -> None:
        assert self.process.stdout
        if (line := self.process.stdout.readline().strip()) != word:
            raise SystemExit(f"the prober said {line!r}, not {word!r}")

    def _cpu(self) -> float:
        times = psutil.Process(self.process.pid).cpu_times()
        return float(times.user + times.system)

    def stop(self) -> float:
        """Returns its share of one processor."""
        since, used = self._since
        share = (self._cpu() - used) / (time.monotonic() - since)
        self._say("stop")
        self._expect("done")
        self.process.wait(5)
        return share

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def stops(pid: int, times: int, every: float, witness: Witness) -> tuple[list[Stop], int]:
    """At random phases of the schedule, far enough apart that one is over before the next.

    A stop during which the machine itself was held up is none of those that count; it is repeated,
    and how many there were is told. The witness knows nothing of what was measured.
    """
    found: list[Stop] = []
    disturbed = 0
    while len(found) < times and disturbed <= times:
        time.sleep(0.4 + random.random() * max(every, 0.05))
        argv = [sys.executable, str(ROOT / "bench/stop_for.py"), str(pid), str(LASTS)]
        answer = subprocess.run(argv, capture_output=True, text=True, check=True)
        stop = Stop(**json.loads(answer.stdout))
        time.sleep(AROUND / 1e9)
        if witness.held_up(stop.stopped - AROUND, stop.continued + AROUND):
            disturbed += 1
        else:
            found.append(stop)
    time.sleep(0.4)
    return found, disturbed


def measured(found: list[Outage], stop: Stop) -> float | None:
    """Seconds of the outage during the stop; None where none was measured, or it never ended."""
    here = [o for o in found if o.start_ns < stop.continued and (o.end_ns or sys.maxsize) > stop.stopped]
    if not here or any(o.end_ns is None for o in here):
        return None
    longest = max(here, key=lambda o: (o.end_ns or 0) - o.start_ns)
    return ((longest.end_ns or 0) - longest.start_ns) / 1e9


def row(server: servers.Server, kind: str, params: dict[str, str], every: float, times: int) -> bool:
    """Measures and prints one line of the table; whether every stop was measured within the bound."""
    with tempfile.TemporaryDirectory() as directory:
        prober = Prober(server, kind, REGISTRY.get(kind)(**params), every, Path(directory))
        try:
            with Witness() as witness:
                happened, disturbed = stops(server.pid, times, every, witness)
            share = prober.stop()
        finally:
            prober.kill()
        samples = load(Path(directory) / "samples.bin")
    found = outages(readings(samples))
    pairs = [(measured(found, stop), stop) for stop in happened]
    off = [abs(seconds - stop.seconds) for seconds, stop in pairs if seconds is not None]
    bound = 2 * every + 0.010
    within = sum(difference <= bound for difference in off)
    print(
        f"{server.name:<14}{every * 1e3:>6.0f} ms{len(samples):>9,}{median(off or [0]) * 1e3:>12.2f} ms"
        f"{max(off, default=0) * 1e3:>12.2f} ms{bound * 1e3:>10.0f} ms{within:>7}/{times}"
        f"{disturbed:>11}{share:>9.0%}",
        flush=True,
    )
    return within == times


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--times", type=int, default=20, help="stops at each interval")
    times = parser.parse_args().times
    first = hurry()
    print(f"truth: a server stopped for {LASTS * 1e3:.0f} ms, {times} times at each interval")
    if not first:
        print("not root: whatever else this machine does is measured too")
    print("                                   |measured - true|")
    print("server        interval  samples      median            max       bound  within  disturbed   cpu")
    good = True
    with servers.valkey() as server:
        for every in INTERVALS:
            good &= row(server, "redis", {}, every, times)
    with servers.nginx() as server:
        for every in INTERVALS:
            good &= row(server, "http", {}, every, times)
    print(f"truth: {'every' if good else 'NOT every'} outage was measured within its bound")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
