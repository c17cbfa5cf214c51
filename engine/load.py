"""The load process: clients that use the system at a set rate, and write down what they saw.

    python -m engine.load     (its spec is the first line of its standard input)

It writes history.arrows and ops.bin into the spec's directory. After `stop` it waits for the open
operations, makes the workload's last call, removes what it put into the system, and says `done`.
The end of its input ends it at once.
"""

import asyncio
import os
import secrets
import sys
from collections import deque
from collections.abc import Awaitable, Sequence
from pathlib import Path
from random import Random
from typing import Any

from engine import fitting
from engine.calls import Call
from engine.clients import Failed, Kept, Session, Unknown
from engine.clock import NS, now_ns
from engine.errors import EngineError
from engine.leash import Leash, say
from engine.metronome import LEAD_IN_NS, Metronome
from engine.parameters import build
from engine.recorded import NAME
from engine.recorded import Writer as History
from engine.samples import Outcome, Writer
from engine.target import Node, Target
from engine.workloads import REGISTRY as WORKLOADS
from engine.workloads import Workload

FLUSH = 0.025
PREPARE, LAST, REMOVE = 10.0, 15.0, 3.0  # seconds that each may take, with its repetitions
LEAST_FOR_LAST = 5.0  # the last call may answer a lot
PAUSE = 0.2  # between repetitions
READERS = 8  # clients that read at the end


class Load:
    def __init__(self, workload: Workload, kept: Kept, directory: Path, nodes: Sequence[Node] = ()) -> None:
        self.workload, self.kept = workload, kept
        self.nodes = {node.name: i for i, node in enumerate(nodes, 1)}  # who was asked, as in ops.bin
        self.history = History(directory / NAME)
        self.ops = Writer(directory / "ops.bin", directory / "ops-strings.jsonl")
        self.calls = workload.calls(Random())
        self.clients = [_Client(self, number) for number in range(workload.clients)]
        self.stopping = False
        self._tick = self._process = 0

    async def perform(
        self, session: Session, process: int, call: Call, timeout: float, scheduled: int
    ) -> tuple[Outcome, str, int]:
        """Calls, writes both events, and returns the outcome, the reason and the time of its end."""
        f, value, key = call
        begun, _ = self.history.invoke(process, f, key, value, scheduled)
        outcome, error, version = Outcome.OK, "", None
        try:
            async with asyncio.timeout(timeout):
                value, version = await session.call(call)
        except Failed as failed:
            outcome, error = Outcome.FAIL, str(failed)
        except Unknown as unknown:
            outcome, error = Outcome.INFO, str(unknown)
        except TimeoutError:
            outcome, error = Outcome.INFO, f"no answer within {timeout:g} s"
        ended = self.history.end(begun, outcome, value, error=error, node=session.asked, version=version)
        if (task := asyncio.current_task()) and task.cancelling():
            raise asyncio.CancelledError  # not by the time-out: a session may have made a failure of it
        return outcome, error, ended

    async def run(self, pulled: "asyncio.Future[Any]") -> None:
        """Until `pulled`; says `ready` once the system has taken what comes before the first operation."""
        await _persist(self.kept.prepare, PREPARE)
        workers = [asyncio.create_task(client.work()) for client in self.clients]
        metronome = Metronome(now_ns() + LEAD_IN_NS, round(NS / self.workload.rate), self._due)
        say("ready")
        try:
            while not pulled.done():
                await asyncio.wait([pulled, *workers], timeout=FLUSH, return_when=asyncio.FIRST_COMPLETED)
                self.flush()
                for worker in workers:
                    if worker.done():
                        worker.result()  # it ends only by an error of its own
            metronome.stop()
            if pulled.result() == "stop":
                await self._end(workers)
        finally:
            metronome.stop()
            for worker in workers:
                worker.cancel()
        self.flush()

    async def _end(self, workers: "list[asyncio.Task[None]]") -> None:
        self.stopping = True
        for client in self.clients:
            client.wake.set()
        await asyncio.gather(*workers)
        self.flush()
        await self._read_last()
        self.history.close()
        self.ops.flush()
        try:
            await _persist(self.kept.remove, REMOVE)
        except EngineError as error:
            print(f"what the workload wrote could not be removed: {error}", file=sys.stderr)

    def _due(self, scheduled: int) -> None:
        client = self.clients[self._tick % len(self.clients)]
        self._tick += 1
        client.due.append(scheduled)
        client.wake.set()

    async def _read_last(self) -> None:
        """A few clients share what is to be read when all others have ended."""
        calls = self.workload.last()
        self._process = max(client.process for client in self.clients)
        end = now_ns() + int(LAST * NS)
        await asyncio.gather(*(self._share(calls[n::READERS], n, end) for n in range(READERS)))

    async def _share(self, calls: list[Call], number: int, end: int) -> None:
        session = self.kept.session(number, last=True)
        for call in calls:
            await self._last(session, call, end)
        await session.close()

    async def _last(self, session: Session, call: Call, end: int) -> None:
        """A fresh process for each try: the one before may still be under way."""
        outcome = Outcome.INFO
        while outcome is not Outcome.OK and now_ns() < end:
            self._process += 1
            timeout = max(self.workload.timeout, LEAST_FOR_LAST)
            outcome, _, _ = await self.perform(session, self._process, call, timeout, now_ns())
            if outcome is not Outcome.OK:
                await asyncio.sleep(PAUSE)

    def flush(self) -> None:
        self.history.flush()
        self.ops.flush()


class _Client:
    """One client: what is due while it is busy waits, and its latency counts from when it was due."""

    def __init__(self, load: Load, number: int) -> None:
        self.load, self.number, self.process = load, number, number
        self.due: deque[int] = deque()
        self.wake = asyncio.Event()

    async def work(self) -> None:
        load = self.load
        session = load.kept.session(self.number)
        while not load.stopping:
            if not self.due:
                self.wake.clear()
                await self.wake.wait()
                continue
            scheduled = self.due.popleft()
            outcome, error, end = await load.perform(
                session, self.process, next(load.calls), load.workload.timeout, scheduled
            )
            asked = load.nodes.get(session.asked, 0)
            load.ops.add(scheduled, end - scheduled, asked, self.number, outcome, error)
            if outcome is Outcome.INFO:  # it may yet happen: this number never acts again
                self.process += load.workload.clients
        await session.close()


async def _persist(act: Any, seconds: float) -> None:
    """Repeats `act` until it succeeds; raises EngineError with its last reason when the time is over."""
    end = now_ns() + int(seconds * NS)
    reason = "no answer"
    while (left := (end - now_ns()) / NS) > 0:
        attempt: Awaitable[None] = act()
        try:
            async with asyncio.timeout(left):
                await attempt
            return
        except (Failed, Unknown) as error:
            reason = str(error)
        except TimeoutError:
            reason = "no answer"
        await asyncio.sleep(PAUSE)
    raise EngineError(f"The system took no operation within {seconds:g} s: {reason}.")


def read(spec: dict[str, Any]) -> Load:
    """Raises BadInput if the spec is wrong."""
    name, params = next(iter(spec["workload"].items()))
    workload = build(WORKLOADS.get(name, "workload"), params, f"workload.{name}")
    directory = Path(spec["directory"])
    key = f"chaosboard/{spec.get('run', directory.name)}-{secrets.token_hex(4)}"
    target = Target.from_dict(spec["target"])
    return Load(workload, fitting.open_for(name, workload, target, key), directory, target.nodes)


async def main(leash: Leash, spec: dict[str, Any]) -> None:
    await read(spec).run(leash.hold())
    say("done")
    os._exit(0)  # whatever is still open belongs to nodes that do not answer


if __name__ == "__main__":
    import uvloop

    try:
        leash = Leash()
        uvloop.run(main(leash, leash.spec()))
    except EngineError as error:
        sys.exit(f"load: {error}")
