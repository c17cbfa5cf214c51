"""The prober process: looks at every node on an absolute schedule, whatever the answers take.

    python -m engine.prober     (its spec is the first line of its standard input)

It writes samples.bin, strings.jsonl and leaders.jsonl into the spec's directory, says `ready`
after the first readings and `done` at the end. `stop` ends it after the open readings; the end
of its input ends it at once.
"""

import asyncio
import gc
import os
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.clock import NS, hurry, now_ns
from engine.errors import BadInput
from engine.leash import Leash, say
from engine.metronome import LEAD_IN_NS, Metronome
from engine.parameters import build
from engine.probes import REGISTRY, Reading, Session
from engine.samples import Status, Writer
from engine.target import Target
from engine.watch import Watch

FLUSH = 0.025


@dataclass(eq=False, slots=True)
class _Look:
    lane: "Lane"
    scheduled: int
    task: "asyncio.Task[Reading] | None" = None
    expired: bool = False
    closed: bool = False

    def finished(self, task: "asyncio.Task[Reading]") -> None:
        """The task's answer becomes a sample, a timeout if it came too late."""
        lane, self.task, self.closed = self.lane, None, True
        latency = now_ns() - self.scheduled
        if task.cancelled():
            reading = lane.late
        elif error := task.exception():
            reading = Reading(False, f"the probe itself failed: {error!r}")
        else:
            reading = task.result()
        if latency > lane.timeout_ns and not (self.expired and reading.why is Status.OVERLOAD):
            reading = lane.late
        if reading.ok:
            lane.writer.add(self.scheduled, latency, lane.probe, lane.node, 0, reading.by)
        else:
            lane.writer.add(self.scheduled, latency, lane.probe, lane.node, reading.why, reading.error)
        lane.answered = True


class Lane:
    """One probe at one node: any number of looks are open; one timer serves all their timeouts."""

    def __init__(self, session: Session, writer: Writer, probe: int, node: int, timeout: float) -> None:
        self.session, self.writer = session, writer
        self.probe, self.node = probe, node
        self.timeout_ns = round(timeout * NS)
        self.late = Reading(False, f"no answer within {timeout:g} s", Status.TIMEOUT)
        self.open: deque[_Look] = deque()
        self.answered = False
        self._loop = asyncio.get_running_loop()
        self._armed = False

    def fire(self, scheduled: int) -> None:
        look = _Look(self, scheduled)
        look.task = task = self._loop.create_task(self.session.look())
        task.add_done_callback(look.finished)
        self.open.append(look)
        if not self._armed:
            self._arm()

    def _arm(self) -> None:
        """Sets the timer for the oldest open look; the closed ones before it are forgotten."""
        looks = self.open
        while looks and looks[0].closed:
            looks.popleft()
        self._armed = bool(looks)
        if looks:
            wait = (looks[0].scheduled + self.timeout_ns - now_ns()) / NS
            self._loop.call_later(max(wait, 0.001), self._expire)

    def _expire(self) -> None:
        limit = now_ns() - self.timeout_ns
        looks = self.open
        while looks and (looks[0].closed or looks[0].scheduled <= limit):
            look = looks.popleft()
            if look.task:
                look.expired = True
                look.task.cancel()
        self._arm()

    def busy(self) -> bool:
        return any(not look.closed for look in self.open)


class Prober:
    """Made inside a running loop, from a spec; raises BadInput if the spec is wrong."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.target = Target.from_dict(spec["target"])
        directory = Path(spec["directory"])
        self.writer = Writer(directory / "samples.bin")
        self.lanes: list[Lane] = []
        self.metronomes: list[Metronome] = []
        self.watch: Watch | None = None
        rows = []
        for i, row in enumerate(spec["probes"]):
            probe = build(REGISTRY.get(row["kind"], f"probes.{i}"), row["params"], f"probes.{i}.params")
            lanes = [
                Lane(probe.session(node), self.writer, i, n, float(row["timeout"]))
                for n, node in enumerate(self.target.nodes)
            ]
            self.lanes += lanes
            rows.append((lanes, round(float(row["every"]) * NS)))
        if leader := spec.get("leader"):
            probe = build(REGISTRY.get(leader["kind"], "leader.kind"), {}, "leader")
            self.watch = Watch(probe, self.target, directory / "leaders.jsonl")
            rows.append(([], round(float(leader["every"]) * NS)))
        self._rows = rows

    def start(self) -> None:
        first = now_ns() + LEAD_IN_NS
        for lanes, every in self._rows:
            tick = _all(lanes) if lanes or not self.watch else self.watch.tick
            self.metronomes.append(Metronome(first, every, tick))

    async def run(self, pulled: "asyncio.Future[Any]") -> None:
        """Until `pulled`: "stop" waits for the open looks, "eof" does not."""
        self.start()
        ready = False
        while not pulled.done():
            await asyncio.wait([pulled], timeout=FLUSH)
            self.writer.flush()
            if not ready and all(lane.answered for lane in self.lanes):
                ready = True
                say("ready")
        for metronome in self.metronomes:
            metronome.stop()
        while pulled.result() == "stop" and any(lane.busy() for lane in self.lanes):
            await asyncio.sleep(0.005)
        self.writer.close()
        if self.watch:
            self.watch.close()


def _all(lanes: list[Lane]) -> Callable[[int], None]:
    def tick(scheduled: int) -> None:
        for lane in lanes:
            lane.fire(scheduled)

    return tick


async def main(leash: Leash, spec: dict[str, Any]) -> None:
    hurry()
    prober = Prober(spec)
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)
    await prober.run(leash.hold())
    say("done")
    sys.stdout.flush()
    os._exit(0)  # whatever is still open belongs to nodes that do not answer


if __name__ == "__main__":
    import uvloop

    try:
        leash = Leash()
        uvloop.run(main(leash, leash.spec()))
    except BadInput as error:
        sys.exit(f"prober: {error}")
