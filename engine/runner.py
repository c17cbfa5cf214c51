"""The one algorithm: preflight, baseline, faults, recovery, judging; whatever happens, it heals."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

from engine import drivers, inspect, undo, warden
from engine import state as files
from engine.alarm import certain
from engine.clock import anchor, now_ns
from engine.concluding import judged
from engine.errors import EngineError, Refused
from engine.events import Emit, Log
from engine.experiment import Experiment
from engine.follow import Follower, width_for
from engine.hurting import Hurt, Hurting
from engine.live import Finding
from engine.orders import LONGEST, RECOVERY, Extension, Note, Order, Orders
from engine.orders import none as no_orders
from engine.plan import plan
from engine.target import Node, Target
from engine.text import seconds
from engine.versions import in_words, versions
from engine.watching import Watching

TICK = 0.02  # seconds between two looks at what is due
TELL = 0.05  # seconds between two batches of events
STEADY = 1.0  # seconds for which it must be steady before anything is hurt
SETTLE = 15.0  # seconds in which that must be seen


class _Ended(Exception):
    """The run ends early: `ending` is aborted, halted or failed."""

    def __init__(self, ending: str, reason: str) -> None:
        super().__init__(reason)
        self.ending, self.reason = ending, reason


def run(
    experiment: Experiment,
    target: Target,
    *,
    directory: Path,
    state: Path,
    emit: Emit,
    stop: Callable[[], str],
    run_id: str,
    orders: Orders = no_orders,
) -> dict[str, Any]:
    """Performs `experiment` on `target` and returns its result; see `docs/events.md` for both.

    All that is measured is kept in `directory`. `emit` gets batches of events, in order; a fault is
    not injected before `emit` returned from hearing of it. `stop` says why the run should end, or "";
    `orders` gives what people asked for since it was last called.
    """
    return _Run(experiment, target, directory, state, emit, stop, run_id, orders).perform()


def _why_halted(halt: dict[str, Any]) -> str:
    return f"Halted by {halt.get('by')}: {halt.get('reason')}"


class _Run:
    def __init__(
        self, experiment: Experiment, target: Target, directory: Path, state: Path, emit: Emit,
        stop: Callable[[], str], run_id: str, orders: Orders,
    ) -> None:  # fmt: skip
        self.experiment, self.target, self.directory, self.state = experiment, target, directory, state
        self.stop, self.run_id, self.orders = stop, run_id, orders
        self.patience = experiment.recovery.timeout  # seconds for which the recovery is waited for
        self.longer = 0.0  # seconds by which it was made longer
        if (directory / "events.jsonl").exists():
            raise Refused(f"{directory} holds a run already.", "Give each run a directory of its own.")
        directory.mkdir(parents=True, exist_ok=True)
        self.plan = plan(experiment, target, seed=run_id)
        self.width = width_for(experiment, self.plan.duration)
        self.log = Log(directory / "events.jsonl", emit)
        self.follower = Follower(experiment, target, directory, self.width)
        self.hurting = Hurting(experiment, target, state, run_id, self.tell_fault)
        self.started: int | None = None  # monotonic ns, the baseline's beginning
        self.anchor = anchor()
        self.watching = Watching(experiment, target, directory)
        self.prepared: list[tuple[Node, Any]] = []
        self.lock: IO[str] | str | None = None  # held until this run is over; a text tells who holds it
        self.told = self.seen = 0.0
        self.fault_phase: int | None = None
        self.recovering = False
        self.breaking: dict[int, float] = {}

    # Telling

    def at(self, ns: int | None = None) -> float:
        """Seconds since the baseline began; 0 before it."""
        return 0.0 if self.started is None else max(0.0, ((ns or now_ns()) - self.started) / 1e9)

    def say(self, kind: str, ns: int | None = None, /, **data: Any) -> None:
        self.log.add(kind, self.at(ns), **data)

    def phase(self, name: str, text: str, **data: Any) -> None:
        self.say("phase", phase=name, text=text, **data)
        self.log.flush()

    def tell_fault(self, hurt: Hurt) -> None:
        ends = None
        if hurt.state in ("injecting", "active") and hurt.records:
            ends = self.at(now_ns() + int((hurt.records[0].expires_at - undo.LEASE - time.time()) * 1e9))
        when = {"active": hurt.injected_at, "clean": hurt.healed_at()}.get(hurt.state)
        self.say(
            "fault", when,
            id=hurt.id, fault=hurt.step.kind, line=hurt.step.fault.line(hurt.nodes), nodes=hurt.nodes,
            state=hurt.state, expires_at=ends, text=hurt.text, records=[r.id for r in hurt.records],
            links=[list(pair) for pair in hurt.aim.links],
        )  # fmt: skip
        self.log.flush()

    # The algorithm

    def perform(self) -> dict[str, Any]:
        ending, reason = "finished", ""
        try:
            self.preflight()
            self.baseline()
            self.faults()
            self.recovery()
        except _Ended as end:
            ending, reason = end.ending, end.reason
        except EngineError as error:
            # at a halt the warden heals too, and may take a fault back before it was injected
            halt = files.halted(self.state)
            ending, reason = ("halted", _why_halted(halt)) if halt else ("failed", str(error))
        except (KeyboardInterrupt, SystemExit):
            ending, reason = "aborted", "The process that ran it was told to end."
        finally:
            self.hurting.heal_all()
            self.hurting.close()
        if reason:
            self.say("note", level="error" if ending == "failed" else "warn", text=reason)
        self.phase("judging", "reading back what was written, then judging")
        self.end_watching()
        if self.lock and not isinstance(self.lock, str):
            self.lock.close()
        return judged(self.log, self.directory, self.at(), ending, reason)

    def preflight(self) -> None:
        """Raises where the run must not begin: halted, impossible, unreachable, or sick."""
        files.write(self.directory / "experiment.json", self.experiment.to_dict())
        files.write(self.directory / "target.json", self.target.to_dict())
        self.say("run", **self.summary())
        self.phase("preflight", "is it there, may it be hurt, is it steady?")
        self.lock = files.lock(self.state / "locks" / f"{quote(self.target.name, safe='')}.lock", self.run_id)
        if isinstance(self.lock, str):
            raise Refused(
                f"{self.target.name} is being hurt by run {self.lock} already.", "Wait until that is over."
            )
        if halt := files.halted(self.state):
            raise _Ended("halted", f"Everything is halted, by {halt.get('by')}: {halt.get('reason')}")
        self.prepare_nodes()
        self.wait_until_reachable()
        found = versions(self.target)
        self.say("fact", name="versions", value=found, text=in_words(found))
        self.refuse_victims()
        if any(step.fault.needs_leader() for step in self.experiment.faults):
            self.hurting.led = inspect.leader(self.target)
        warden.ensure(self.state)
        self.watching.start(self.state, self.run_id)
        self.wait_until_steady()

    def prepare_nodes(self) -> None:
        for node in self.target.nodes:
            for _, driver in drivers.drivers_of(node):
                if driver.prepare(node):
                    self.prepared.append((node, driver))

    def wait_until_reachable(self) -> None:
        """What was started just now gets time to come up; what was there must answer at once."""
        end = time.monotonic() + (SETTLE if self.prepared else 0.0)
        while missing := [n for n in inspect.check(self.target).nodes if not n.reachable]:
            if time.monotonic() > end:
                told = "; ".join(f"{n.name} at {n.address}: {n.answer}" for n in missing)
                raise EngineError(
                    f"Not all nodes of {self.target.name} can be reached: {told}.", "Start them first."
                )
            time.sleep(5 * TICK)

    def refuse_victims(self) -> None:
        """Every node that may be hit is looked at now, so that nothing is refused half way."""
        for step in self.experiment.faults:
            for node in step.fault.may_hit(self.target):
                _, driver = drivers.having(node, step.fault.wants())
                why = driver.refusal(node)
                if why:
                    raise Refused(f"{node.name} must not be hurt: {why}")
            step.fault.rehearse(self.target)

    def summary(self) -> dict[str, Any]:
        workload = self.experiment.workload
        return {
            "name": self.experiment.name,
            "target": self.target.name,
            "kind": self.target.kind,
            "started_at": self.anchor.iso(now_ns()),
            "width": self.width,
            "plan": self.plan.to_dict(),
            "nodes": [node.name for node in self.target.nodes],
            "probes": [
                {"name": s.name, "kind": s.kind, "every": s.every, "tolerance": s.tolerance.texts()}
                for s in self.experiment.steady_state
            ],
            "workload": {"name": workload[0], "line": workload[1].line()} if workload else None,
        }

    def wait_until_steady(self) -> None:
        """Raises EngineError where it is not steady for STEADY seconds within SETTLE seconds."""
        begin = now_ns()
        least = begin + int(STEADY * 1e9) + self.follower.slack
        while True:
            self.tick()
            if now_ns() > least:
                broken = self.follower.unsteady(STEADY)
                if not broken:
                    return
                if now_ns() > begin + SETTLE * 1e9:
                    raise EngineError(
                        f"{self.target.name} was not steady, so nothing was hurt: {'; '.join(broken)}.",
                        "Mend it first, or widen the tolerance.",
                    )
            time.sleep(TICK)

    def baseline(self) -> None:
        self.started = now_ns()
        self.follower.begin(self.started)
        wall = self.anchor.wall_ns + self.started - self.anchor.monotonic_ns
        self.phase(
            "baseline", f"steady for {seconds(self.experiment.baseline)} before anything is hurt",
            started_at=self.anchor.iso(self.started), epoch=wall / 1e9, ns=self.started,
        )  # fmt: skip
        self.until(self.started + int(self.experiment.baseline * 1e9))
        if self.experiment.faults and (
            broken := self.follower.unsteady(max(STEADY, self.experiment.baseline / 2))
        ):
            raise EngineError(
                f"{self.target.name} was not steady in the baseline, so nothing was hurt: {'; '.join(broken)}."
            )

    def faults(self) -> None:
        if not self.experiment.faults:
            return
        self.fault_phase = now_ns()
        self.phase("fault", "it is being hurt")
        while not self.hurting.settled():
            self.hurting.tick(self.fault_phase)
            self.tick()
            time.sleep(TICK)

    def recovery(self) -> None:
        """Until it was steady for long enough, or the time is up: that is judged, not an error."""
        wanted = self.experiment.recovery
        self.phase("recovery", f"steady for {seconds(wanted.stable)}, at most {seconds(wanted.timeout)}")
        begin = now_ns()
        earliest = begin + int(wanted.stable * 1e9) + self.follower.slack + self.follower.width
        self.recovering = True
        while now_ns() < begin + self.patience * 1e9:
            self.tick()
            if now_ns() >= earliest and not self.follower.unsteady(wanted.stable):
                self.say("fact", name="recovered", value=None, text=f"steady for {seconds(wanted.stable)}")
                return
            time.sleep(TICK)
        self.say("note", level="warn", text=f"not steady within {seconds(self.patience)}")

    def until(self, end: int) -> None:
        while now_ns() < end:
            self.tick()
            time.sleep(TICK)

    def tick(self) -> None:
        """Looks at everything that may need an answer now; raises _Ended where the run must end."""
        self.hurting.watch_over()
        if time.monotonic() - self.told < TELL:
            return
        self.told = time.monotonic()
        self.follow()
        self.log.flush()
        if why := self.stop():
            raise _Ended("halted" if why.startswith("halted") else "aborted", f"{why[0].upper()}{why[1:]}")
        if halt := files.halted(self.state):
            raise _Ended("halted", _why_halted(halt))
        self.watching.look()
        self.abort_conditions()
        for order in self.orders():
            self.obey(order)

    def obey(self, order: Order) -> None:
        """Does what somebody asked for, or says in words why not: both are told."""
        if isinstance(order, Note):
            at = self.at() if order.at is None else min(max(order.at, 0.0), self.at())
            self.log.add("note", at, level="person", text=order.text, by=order.by)
            return
        try:
            text = self.extend(order)
        except EngineError as refused:
            asked = f"{order.by} asked for {seconds(order.seconds)} more"
            self.say("note", level="warn", text=f"{asked}, which was refused: {refused}")
            return
        self.say("extension", what=order.what, seconds=order.seconds, by=order.by, text=text)

    def extend(self, order: Extension) -> str:
        """What was made longer, in words; raises Refused."""
        if not 0 < order.seconds <= LONGEST - self.longer:
            raise Refused(f"A run may be made longer by {seconds(LONGEST)}, all in all.")
        if order.what == RECOVERY:
            if not self.recovering:
                raise Refused("It does not recover now.")
            self.patience += order.seconds
            line = "the recovery may take"
        else:
            hurt = self.hurting.extend(order.what, order.seconds)
            self.tell_fault(hurt)
            line = f"{hurt.step.fault.line(hurt.nodes)} lasts"
        self.longer += order.seconds
        return f"{line} {seconds(order.seconds)} longer, as {order.by} asked"

    def follow(self, *, final: bool = False) -> None:
        self.follower.read()
        for start, data in self.follower.intervals(final=final):
            self.say("interval", start, t=round(self.at(start), 6), **data)
        for change in self.follower.leaders.read():
            data = {key: change[key] for key in ("node", "sees", "reachable", "term")}
            self.say("leader", change["time"], **data)
        if told := self.follower.alarm.look(final=final):
            self.say("violation", certain(told[1]), **self.violation(*told))

    def violation(self, checker: str, finding: Finding) -> dict[str, Any]:
        """With the times of its operations on the clock of the run."""
        ops = [
            {**op, **{name: op[name] and round(self.at(op[name]), 6) for name in ("invoked", "completed")}}
            for op in finding["operations"]
        ]
        return {"checker": checker, **finding, "operations": ops}

    def abort_conditions(self) -> None:
        if self.fault_phase is None:
            return
        names = [s.name for s in self.experiment.steady_state]
        for condition in self.experiment.abort_when:
            if now_ns() - self.fault_phase < condition.over * 1e9:
                continue
            values = self.follower.measured(names.index(condition.probe), condition.over)
            if not condition.when.broken(values):
                texts = " and ".join(condition.when.texts())
                raise _Ended(
                    "aborted", f"Abort condition: {condition.probe} {texts} over {seconds(condition.over)}."
                )

    def end_watching(self) -> None:
        """Takes in what was seen until the end."""
        for why in self.watching.end():
            self.say("note", level="error", text=why)
        if self.started is not None:
            self.follow(final=True)
        for node, driver in self.prepared:
            driver.release(node)
