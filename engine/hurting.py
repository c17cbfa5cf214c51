"""The faults of one run: each injected at its time, kept alive by its lease, healed and read back."""

import random
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine import blast, inspect, undo, warden
from engine.clock import now_ns
from engine.errors import EngineError, Refused
from engine.experiment import Experiment, Step
from engine.faults import Aim
from engine.plan import times
from engine.target import Target
from engine.text import said_once
from engine.topology import by_link
from engine.undo import Healed, UndoRecord

UNFINISHED = ("injecting", "active", "healing")
HEARTBEAT = 0.5  # seconds between two renewals of the leases
Say = Callable[..., None]


@dataclass
class Hurt:
    """One time that a step hurts, while it is performed; `start` and `seconds` count from the fault phase,
    `injected_at` is monotonic ns."""

    id: str
    step: Step
    start: float
    seconds: float
    state: str = "planned"
    aim: Aim = Aim((), (), ())
    records: list[UndoRecord] = field(default_factory=list)
    work: list["Future[Any]"] = field(default_factory=list)
    injected_at: int | None = None
    text: str = ""
    ends: int = 0  # monotonic ns; known when it begins
    waited: bool = False  # for an earlier time of its step, so that it began late and ends late
    over: bool = False  # its end has come while it was still being injected, node after node

    @property
    def nodes(self) -> list[str]:
        return list(self.aim.nodes)

    def healed_at(self) -> int | None:
        """When the last of it was read back as gone, in monotonic ns; None where nobody says so."""
        ends = [
            f.result().record.healed_at for f in self.work if f.done() and not f.exception() and _healed(f)
        ]
        return now_ns() - int((time.time() - max(ends)) * 1e9) if ends else None


class Hurting:
    """Performs the steps. Injecting and healing run beside the caller, who calls `tick` often.

    `say` is told of every change before the next thing is done, and returns when it is stored.
    """

    def __init__(self, experiment: Experiment, target: Target, state: Path, run: str, say: Say) -> None:
        self.target, self.state, self.run, self.say = target, state, run, say
        self.hurts = [
            Hurt(id, step, start, seconds)
            for i, step in enumerate(experiment.faults)
            for id, start, seconds in times(i, step, run)
        ]
        self.together = experiment.together
        self.led: str | None = None  # who led before anything was hurt
        self._pool = ThreadPoolExecutor(max_workers=8, thread_name_prefix="fault")
        self._dice = random.Random(run)
        self._beat, self._since = 0.0, 0

    def tick(self, since: int) -> None:
        """Starts and ends what is due; `since` is the time (ns) at which the fault phase began."""
        self._since = since
        for hurt in self.hurts:
            start = since + int(hurt.start * 1e9)
            if hurt.state == "planned" and now_ns() >= start and not self._earlier(hurt):
                hurt.ends = (now_ns() if hurt.waited else start) + int(hurt.seconds * 1e9)
                self._begin(hurt)
                hurt.ends = self._end_of(hurt, since)
            elif hurt.state == "active" and now_ns() >= hurt.ends:
                self._heal(hurt)
            elif hurt.state == "injecting" and now_ns() >= hurt.ends:
                hurt.over = True
        self.watch_over()

    def _end_of(self, hurt: Hurt, since: int) -> int:
        """It lasts as long as it was asked to from its injection on, but not into the time of another one:
        looking at what is about to be hurt takes long where a machine is busy."""
        others = [since + int(one.start * 1e9) for one in self.hurts if one.state == "planned"]
        return max(hurt.ends, min([(hurt.injected_at or 0) + int(hurt.seconds * 1e9), *others]))

    def _earlier(self, hurt: Hurt) -> bool:
        """Whether an earlier time of the same step is not healed yet: then this one waits for it."""
        for other in self.hurts:
            if other.step is hurt.step and other is not hurt and other.state in UNFINISHED:
                hurt.waited = True
                return True
        return False

    def watch_over(self) -> None:
        """Renews the leases, keeps the warden alive, and notes what is finished."""
        for hurt in self.hurts:
            if hurt.state in ("injecting", "healing") and all(f.done() for f in hurt.work):
                self._finish(hurt)
        if time.monotonic() - self._beat >= HEARTBEAT and self.unfinished():
            self._beat = time.monotonic()
            for hurt in self.hurts:
                if hurt.state == "active" and all(undo.over(self.state, r) for r in hurt.records):
                    self._tell(hurt, *outcome(self.state, hurt.records))  # by the warden, or by hand
            self._renew()
            warden.ensure(self.state)

    def _renew(self) -> None:
        for hurt in self.hurts:
            if hurt.state in ("planned", "injecting", "active"):
                for record in list(hurt.records):
                    undo.renew(self.state, record)

    def unfinished(self) -> bool:
        return any(h.state in UNFINISHED for h in self.hurts)

    def settled(self) -> bool:
        """Whether every step has been injected and healed."""
        return not self.unfinished() and all(h.state != "planned" for h in self.hurts)

    def _begin(self, hurt: Hurt) -> None:
        """Resolves the victims, writes and tells the undo records, and only then injects.

        A leader that is another one than before is told, never silently replaced.
        """
        fault = hurt.step.fault
        who = inspect.leader(self.target) if fault.needs_leader() else None
        hurt.aim = fault.aim(self.target, who, self._dice)
        busy = {name for h in self.hurts if h.state in UNFINISHED for name in h.aim.down}
        hit = fault.at_once(len(set(hurt.aim.down) - busy))
        if why := blast.within_cap(len(busy) + hit, self.target):
            raise Refused(why)
        warden.ensure(self.state)
        self._prepare(hurt)
        moved = f"{self.led or 'nobody'} led before; {who} leads now" if who not in (None, self.led) else ""
        self._tell(hurt, "injecting", moved)
        hurt.injected_at = now_ns()
        if hurt.step.fault.one_by_one:
            hurt.work = [self._pool.submit(self._one_by_one, hurt)]
        else:
            hurt.work = [self._pool.submit(undo.inject, self.state, record) for record in hurt.records]

    def _prepare(self, hurt: Hurt) -> None:
        """Writes the undo records, side by side; raises the first error after all that could be are known.

        Another host may take its time, and the leases of the others run on: they are renewed meanwhile.
        """
        work = [
            self._pool.submit(
                undo.prepare, self.state, self.run, hurt.id, hurt.step.kind, piece.fault, piece.node,
                hurt.seconds + undo.LEASE, peers=piece.peers, together=self.together,
            )
            for piece in hurt.aim.pieces
        ]  # fmt: skip
        while wait(work, HEARTBEAT).not_done:
            hurt.records = [f.result() for f in work if f.done() and not f.exception()]
            self._renew()
        hurt.records = [f.result() for f in work if not f.exception()]
        if failed := [e for f in work if (e := f.exception())]:
            raise failed[0]

    def _one_by_one(self, hurt: Hurt) -> None:
        for record in hurt.records:
            if not hurt.over:
                undo.inject(self.state, record)

    def _heal(self, hurt: Hurt) -> None:
        self._tell(hurt, "healing")
        hurt.work = [self._pool.submit(undo.heal, self.state, record.id) for record in hurt.records]

    def _finish(self, hurt: Hurt) -> None:
        """After injecting: active, or healed where it failed. After healing: what was read back."""
        if hurt.state == "healing":
            self._tell(hurt, *outcome(self.state, hurt.records))
            return
        failed = [e for f in hurt.work if (e := f.exception())]
        if not failed:
            done = [hurt.step.fault.line(hurt.nodes), *_shown(hurt.aim), *_notes(hurt.work)]
            self._tell(hurt, "active", "; ".join(done))
            return
        self._heal(hurt)
        raise failed[0] if isinstance(failed[0], EngineError) else EngineError(str(failed[0]))

    def extend(self, id: str, seconds: float) -> Hurt:
        """Makes a fault that hurts now last so much longer; raises Refused, and then it ends as it would have."""
        hurt = next((h for h in self.hurts if h.id == id), None)
        if hurt is None or hurt.state != "active":
            raise Refused("It does not hurt now." if hurt else f"There is no fault called {id}.")
        length = int(seconds * 1e9)
        if why := next((why for r in hurt.records if (why := undo.unmovable(r))), ""):
            raise Refused(f"{hurt.step.fault.line(hurt.nodes)} cannot be made longer: {why}")
        if self._crowds(hurt.ends + length):
            raise Refused("Another fault begins before that would be over.", "Ask for less.")
        hurt.records = [undo.prolong(self.state, r, r.expires_at + seconds) for r in hurt.records]
        hurt.ends += length
        hurt.seconds += seconds
        return hurt

    def _crowds(self, end: int) -> bool:
        """Whether a fault that is still to come would begin before `end` (monotonic ns)."""
        return any(h.state == "planned" and self._since + int(h.start * 1e9) < end for h in self.hurts)

    def heal_all(self) -> None:
        """Heals every step that was begun, at once, and waits for what is read back."""
        for hurt in self.hurts:
            hurt.over = True
            if hurt.state == "injecting":
                _wait(hurt.work)
            if hurt.records and hurt.state in ("planned", "injecting", "active"):
                self._heal(hurt)
        for hurt in self.hurts:
            if hurt.state == "healing":
                _wait(hurt.work)
                self._tell(hurt, *outcome(self.state, hurt.records))

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _tell(self, hurt: Hurt, state: str, text: str = "") -> None:
        hurt.state, hurt.text = state, text
        self.say(hurt)


def _healed(future: "Future[Any]") -> bool:
    return isinstance(found := future.result(), Healed) and found.record.healed_at is not None


def _wait(work: "list[Future[Any]]") -> None:
    for future in work:
        future.exception()


def _shown(aim: Aim) -> list[str]:
    """The links that are cut, in one text: `n1 ↔ n2, n1 → n3`."""
    found = [f"{a} {'↔' if both else '→'} {b}" for a, b, both in by_link(frozenset(aim.links))]
    return [", ".join(found)] if found else []


def _notes(work: "list[Future[Any]]") -> list[str]:
    """What the injections noted beside what was meant to happen."""
    done = [record for future in work if isinstance(record := future.result(), UndoRecord)]
    return _texts(done)


def _texts(records: list[UndoRecord]) -> list[str]:
    """What they tell, each text once, with the nodes named where there are several records."""
    told = [(r.node_name, r.text) for r in records if r.text]
    return said_once(told) if len(records) > 1 else [text for _, text in told]


def outcome(state: Path, records: list[UndoRecord]) -> tuple[str, str]:
    """The worst state of these records as it is on disk now, and what was read back."""
    found = [r for record in records if (r := undo.record_of(state, record.id))]
    worst = max((r.state for r in found), key=_badness, default="unverified")
    return (worst if worst in ("clean", "stuck") else "unverified"), "; ".join(_texts(found))


def _badness(state: str) -> int:
    return {"clean": 0, "stuck": 2}.get(state, 1)


__all__ = ["Healed", "Hurt", "Hurting", "outcome"]
