"""The dead-man's switch: a process that heals on expiry, silence or a halt, whatever else has died.

One warden serves a state directory. It leaves when there was nothing to watch for a while, unless it
is told to stay; whoever injects a fault first makes sure that there is one.
"""

import fcntl
import signal
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO

from engine import state as files
from engine import undo
from engine.clock import hurry
from engine.errors import EngineError
from engine.host.sweeping import Sweeper
from engine.starting import start_part

LOOK = 0.05  # seconds between two looks at the leases
CALM = 0.25  # the same while nothing is hurt: whoever injects heals first, and a lease is longer
AGAIN = 0.25  # seconds of rest before a fault that did not heal is tried again; twice as long each time
REST = 5.0  # seconds that it rests at most
GLANCE = 0.3  # seconds for which somebody who only looks may seem to hold the lock
SWEEP = 2.0  # seconds between two looks for rules whose record is lost
PRUNE = 3600.0  # seconds between two clearings of old records
IDLE = 20.0  # seconds without anything to watch before it leaves


def ensure(state: Path) -> None:
    """Starts a warden where none watches `state`; returns when one does. Raises EngineError."""
    if watching(state):
        return
    start_part("warden", "warden", state)
    end = time.monotonic() + 10.0
    while not watching(state):
        if time.monotonic() > end:
            raise EngineError(
                "The warden did not come up, so nothing is hurt.", f"See {state / 'warden.log'}."
            )
        time.sleep(0.01)


def watching(state: Path) -> bool:
    """Whether a warden holds the lock of `state`."""
    try:
        with open(state / "warden.lock", "a") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False


def main(state: Path, *, stay: bool = False) -> int:
    """Watches until it is told to end (SIGTERM), or, without `stay`, until it is idle.

    Where another one watches, it waits with `stay` to take that one's place, and ends without.
    """
    state.mkdir(parents=True, exist_ok=True)
    ending: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: ending.append(number))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the board, which ends the warden last
    hurry()  # on a busy machine, too, healing comes first; what it starts is given its own priority
    lock = _take_lock(state, stay, ending)
    if lock is None:
        print("A warden watches this state directory already.")
        return 0
    say(f"watching {state}")
    idle_since, works = time.monotonic(), dict[str, Work]()
    pruned = -PRUNE
    sweeper, swept, sweeping = Sweeper(files.sign(state), lambda mark: undo.known(state, mark)), -SWEEP, None
    pool = ThreadPoolExecutor(max_workers=undo.AT_ONCE, thread_name_prefix="heal")
    while not ending:
        found = undo.records(state)
        works = {record.id: works[record.id] for record in found if record.id in works}
        halted = bool(found) and files.halted(state) is not None
        for record in found:
            if due(state, record, works, halted):  # side by side: a stuck one must not hold up the others
                before = works.get(record.id)
                tries = before.tries + 1 if before else 1
                works[record.id] = Work(pool.submit(heal, state, record), tries)
        if found or stay:
            idle_since = time.monotonic()
        if time.monotonic() - pruned > PRUNE:
            pruned = time.monotonic()
            undo.prune(state)
        if time.monotonic() - swept > SWEEP and (sweeping is None or sweeping.done()):
            swept, sweeping = time.monotonic(), pool.submit(_sweep, sweeper)
        if time.monotonic() - idle_since > IDLE:
            break
        time.sleep(LOOK if found else CALM)
    pool.shutdown(wait=True, cancel_futures=True)
    lock.close()
    return 0


def _sweep(sweeper: Sweeper) -> None:
    try:
        for mark in sweeper.sweep():
            say(f"the rules of {mark}: they had no record, their time was over; removed")
    except Exception as error:  # what is left does nothing, and is looked at again
        say(f"rules without a record could not be looked for: {error!r}")


def _take_lock(state: Path, stay: bool, ending: list[int]) -> IO[str] | None:
    """The lock; None where another warden has it for longer than somebody needs to look at it."""
    lock = open(state / "warden.lock", "a")  # noqa: SIM115 - held until the process ends
    end = time.monotonic() + GLANCE
    while not ending and (stay or time.monotonic() < end):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
        except BlockingIOError:
            time.sleep(LOOK)
    lock.close()
    return None


@dataclass
class Work:
    """The `tries`-th healing of a record; `ended` is when it was first seen to be over, in monotonic seconds."""

    future: "Future[None]"
    tries: int = 1
    ended: float | None = None

    def rests(self) -> bool:
        """Whether it goes on, or was over just now: then the same fault is not tried again yet."""
        if not self.future.done():
            return True
        self.ended = self.ended or time.monotonic()
        return time.monotonic() - self.ended < self.rest()

    def rest(self) -> float:
        """Seconds of rest after it: short at first, for what stood in the way may be gone in a moment."""
        return min(REST, AGAIN * 2.0 ** min(self.tries - 1, 10))


def due(state: Path, record: undo.UndoRecord, works: dict[str, Work], halted: bool) -> bool:
    """Whether its time has come, or everything is halted; one that did not heal is tried again after a while."""
    if not (halted or undo.expired(state, record)):
        return False
    return record.id not in works or not works[record.id].rests()


def heal(state: Path, record: undo.UndoRecord) -> None:
    try:
        healed = undo.heal(state, record.id)
    except Exception as error:  # whatever it is, the others must be healed, and this one again
        say(f"{record.line}: could not be healed: {error!r}")
        return
    if healed:
        say(f"{record.line}: its time was over; {healed.state}: {healed.text}")


def say(text: str) -> None:
    print(f"{datetime.now().isoformat(timespec='milliseconds')} {text}", flush=True)
