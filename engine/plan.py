"""What will happen when, to whom: a pure value. The page shows it, the runner performs it."""

import random
from dataclasses import asdict, dataclass
from typing import Any

from engine import blast, links
from engine.errors import BadInput, EngineError, Problem
from engine.experiment import Experiment, Step
from engine.fitting import client_for
from engine.rhythm import Moments
from engine.target import Target
from engine.text import count


@dataclass(frozen=True)
class PlannedStep:
    """One time that a step hurts; in seconds since the run's first reading.

    `id` is that of the step, `f0`, and where it hurts more than once the number of the time, `f0.2`.
    `nodes` are named as far as they are known in advance, `reach` says how many at most. `cuts` are the links
    that it would cut, as it may fall out: `open` says what of it is known only when it begins.
    """

    id: str
    fault: str
    line: str
    nodes: tuple[str, ...]
    start: float
    end: float
    reach: str
    cuts: tuple[links.Cut, ...] = ()
    open: str = ""

    def to_dict(self) -> dict[str, Any]:
        cuts = [cut.to_dict() for cut in self.cuts]
        return {**asdict(self), "nodes": list(self.nodes), "cuts": cuts}


@dataclass(frozen=True)
class PlannedPhase:
    name: str
    start: float
    end: float


@dataclass(frozen=True)
class Plan:
    duration: float
    phases: tuple[PlannedPhase, ...]
    steps: tuple[PlannedStep, ...]

    def to_dict(self) -> dict[str, Any]:
        return {
            "duration": self.duration,
            "phases": [asdict(p) for p in self.phases],
            "steps": [step.to_dict() for step in self.steps],
        }


def plan(experiment: Experiment, target: Target, seed: str = "", leader: str | None = None) -> Plan:
    """The timeline; raises BadInput where a step is impossible on `target`.

    Without a `seed` (a run's id) random moments are not known yet: such a step is one window. `leader` is who
    leads now, where somebody looked.
    """
    problems = problems_of(experiment, target)
    if problems:
        raise BadInput(problems)
    start = experiment.baseline
    end = start + max((s.at + s.duration for s in experiment.faults), default=0.0)
    phases = [PlannedPhase("baseline", 0.0, start)]
    if experiment.faults:
        phases.append(PlannedPhase("fault", start, end))
    phases.append(PlannedPhase("recovery", end, end + experiment.recovery.timeout))
    steps = [
        one for i, s in enumerate(experiment.faults) for one in _times(i, s, target, start, seed, leader)
    ]
    return Plan(end + experiment.recovery.timeout, tuple(phases), tuple(steps))


def times(i: int, step: Step, seed: str) -> list[tuple[str, float, float]]:
    """(id, start, seconds) of each time that step `i` hurts, in seconds after the baseline."""
    windows = step.windows(random.Random(f"{seed} {i}"))
    ids = [f"f{i}"] if len(windows) == 1 else [f"f{i}.{k}" for k in range(1, len(windows) + 1)]
    return [(id, start, length) for id, (start, length) in zip(ids, windows, strict=True)]


def _times(
    i: int, step: Step, target: Target, baseline: float, seed: str, leader: str | None
) -> list[PlannedStep]:
    names = {node.name for node in target.nodes}
    nodes = tuple(n for n in step.fault.nodes if n in names)
    line = step.fault.announced(target)
    found, far = times(i, step, seed), reach(step, target)
    cuts, open = links.preview(step.fault, target, leader)
    if isinstance(step.rhythm, Moments) and not seed:
        line, found = f"{line}, at random moments: {step.rhythm.text()}", [(f"f{i}", step.at, step.duration)]
    return [
        PlannedStep(id, step.kind, line, nodes, baseline + start, baseline + start + length, far, cuts, open)
        for id, start, length in found
    ]


def problems_of(experiment: Experiment, target: Target) -> list[Problem]:
    """Why it is impossible on `target`: no client for the workload; blast radius, capability, cap, overlap."""
    found = _unfit(experiment, target)
    for i, step in enumerate(experiment.faults):
        where = f"faults.{i}.{step.kind}"
        try:
            hit = step.fault.most(target)
        except EngineError as error:
            found.append(Problem(f"{where}.nodes", str(error)))
            continue
        if why := blast.within_cap(_at_once(experiment, i, hit, target), target):
            found.append(Problem(f"{where}.nodes", why))
        found += [Problem(where, why) for why in step.fault.impossible(target)]
        found += [Problem(f"{where}.nodes", why) for why in _twice(experiment, i, target)]
    return found


def _unfit(experiment: Experiment, target: Target) -> list[Problem]:
    if experiment.workload is None:
        return []
    try:
        client_for(*experiment.workload, target.kind)
    except BadInput as error:
        return list(error.problems)
    return []


def _twice(experiment: Experiment, i: int, target: Target) -> list[str]:
    """Why step `i` may not be: a node that it names is hurt by an earlier step at that time already."""
    if experiment.together:
        return []
    step, mine = experiment.faults[i], experiment.faults[i].fault.sure_of(target)
    return [
        f"{', '.join(sorted(mine & other.fault.sure_of(target)))} would be hurt by {other.kind} and {step.kind} at once; "
        "write `together: yes` if that is meant"
        for other in experiment.faults[:i]
        if _overlap(step, other) and mine & other.fault.sure_of(target)
    ]


def _overlap(one: Step, other: Step) -> bool:
    return other.at < one.at + one.duration and one.at < other.at + other.duration


def reach(step: Step, target: Target) -> str:
    """How many nodes it hurts at once, and how many it may: `at most 1 of 3 nodes at once; staging allows 2`."""
    most = step.fault.most(target)
    return (
        f"at most {most} of {count(len(target.nodes), 'node')} at once; "
        f"{target.environment} allows {blast.allowed(target)}"
    )


def _at_once(experiment: Experiment, i: int, hit: int, target: Target) -> int:
    """The most nodes hurt while step `i` lasts, its own and those of steps that overlap it."""
    step, total = experiment.faults[i], hit
    for j, other in enumerate(experiment.faults):
        if j != i and _overlap(step, other):
            try:
                total += other.fault.most(target)
            except EngineError:
                continue  # its own problem names it
    return min(total, len(target.nodes))
