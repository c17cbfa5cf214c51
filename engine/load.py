"""The load process: clients that use the system at a set rate, and write down what they saw.

    python -m engine.load     (its spec is the first line of its standard input)

It writes history.jsonl and ops.bin into the spec's directory. After `stop` it waits for the open
operations, makes the workload's last call, removes what it put into the system, and says `done`.
The end of its input ends it at once.
"""

import asyncio
import os
import secrets
import sys
from collections import deque
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

from engine.clients import REGISTRY as CLIENTS
from engine.clients import Failed, Kept, Session, Unknown
from engine.clock import NS, now_ns
from engine.errors import BadInput, EngineError, Problem
from engine.history import Writer as History
from engine.leash import Leash, say
from engine.metronome import LEAD_IN_NS, Metronome
from engine.parameters import build
from engine.samples import Outcome, Writer
from engine.target import Target
from engine.workloads import REGISTRY as WORKLOADS
from engine.workloads import Call, Workload

FLUSH = 0.025
PREPARE, LAST, REMOVE = 10.0, 15.0, 3.0  # seconds that each may take, with its repetitions
LEAST_FOR_LAST = 5.0  # the last call may answer a lot
PAUSE = 0.2  # between repetitions


class Load:
    def __init__(self, workload: Workload, kept: Kept, directory: Path) -> None:
        self.workload, self.kept = workload, kept
        self.history = History(directory / "history.jsonl")
        self.ops = Writer(directory / "ops.bin", directory / "ops-strings.jsonl")
        self.calls = workload.calls()
        self.clients = [_Client(self, number) for number in range(workload.clients)]
        self.stopping = False
        self._tick = 0

    async def perform(
        self, session: Session, process: int, call: Call, timeout: float
    ) -> tuple[Outcome, str, int]:
        """Calls, writes both events, and returns the outcome, the reason and the time of its end."""
        f, value = call
        self.history.add(process, "invoke", f, value)
        outcome, error = Outcome.OK, ""
        try:
            async with asyncio.timeout(timeout):
                value = await session.call(f, value)
        except Failed as failed:
            outcome, error = Outcome.FAIL, str(failed)
        except Unknown as unknown:
            outcome, error = Outcome.INFO, str(unknown)
        except TimeoutError:
            outcome, error = Outcome.INFO, f"no answer within {timeout:g} s"
        return outcome, error, self.history.add(process, outcome.name.lower(), f, value, error)

    async def run(self, pulled: "asyncio.Future[Any]") -> None:
        """Until `pulled`; says `ready` once the system has taken what comes before the first operation."""
        await _persist(self.kept.prepare, PREPARE)
        workers = [asyncio.create_task(client.work()) for client in self.clients]
        metronome = Metronome(now_ns() + LEAD_IN_NS, round(NS / self.workload.rate), self._due)
        say("ready")
        while not pulled.done():
            await asyncio.wait([pulled, *workers], timeout=FLUSH, return_when=asyncio.FIRST_COMPLETED)
            self.flush()
            for worker in workers:
                if worker.done():
                    worker.result()  # it ends only by an error of its own
        metronome.stop()
        if pulled.result() == "stop":
            await self._end(workers)
        self.flush()

    async def _end(self, workers: "list[asyncio.Task[None]]") -> None:
        self.stopping = True
        for client in self.clients:
            client.wake.set()
        await asyncio.gather(*workers)
        self.flush()
        if self.workload.last:
            await self._last(self.workload.last)
        self.flush()
        try:
            await _persist(self.kept.remove, REMOVE)
        except EngineError as error:
            print(f"what the workload wrote could not be removed: {error}", file=sys.stderr)

    def _due(self, scheduled: int) -> None:
        client = self.clients[self._tick % len(self.clients)]
        self._tick += 1
        client.due.append(scheduled)
        client.wake.set()

    async def _last(self, call: Call) -> None:
        """A fresh process for each try: the one before may still be under way."""
        end = now_ns() + int(LAST * NS)
        process = max(client.process for client in self.clients)
        session = self.kept.session(0)
        outcome = Outcome.INFO
        while outcome is not Outcome.OK and now_ns() < end:
            process += 1
            timeout = max(self.workload.timeout, LEAST_FOR_LAST)
            outcome, _, _ = await self.perform(session, process, call, timeout)
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
                session, self.process, next(load.calls), load.workload.timeout
            )
            load.ops.add(scheduled, end - scheduled, 0, self.number, outcome, error)
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
    target = Target.from_dict(spec["target"])
    client = CLIENTS.get(target.kind, "target.kind")()
    if workload.keeps not in client.keeps:
        raise BadInput([Problem("workload", f"a client of {target.kind} cannot keep a {workload.keeps}")])
    directory = Path(spec["directory"])
    key = f"chaosboard/{spec.get('run', directory.name)}-{secrets.token_hex(4)}"
    return Load(workload, client.open(target, workload.keeps, key), directory)


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
