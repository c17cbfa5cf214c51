"""What will happen when, to whom: a pure value. The page shows it, the runner performs it."""

from dataclasses import asdict, dataclass
from typing import Any

from engine import blast
from engine.drivers import lacks
from engine.errors import BadInput, EngineError, Problem
from engine.experiment import Experiment, Step
from engine.target import Target


@dataclass(frozen=True)
class PlannedStep:
    """Times in seconds since the run's first reading; `nodes` as far as they are known in advance."""

    id: str
    fault: str
    line: str
    nodes: tuple[str, ...]
    start: float
    end: float


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
            "steps": [{**asdict(s), "nodes": list(s.nodes)} for s in self.steps],
        }


def plan(experiment: Experiment, target: Target) -> Plan:
    """The timeline; raises BadInput where a step is impossible on `target`."""
    problems = problems_of(experiment, target)
    if problems:
        raise BadInput(problems)
    start = experiment.baseline
    end = start + max((s.at + s.duration for s in experiment.faults), default=0.0)
    phases = [PlannedPhase("baseline", 0.0, start)]
    if experiment.faults:
        phases.append(PlannedPhase("fault", start, end))
    phases.append(PlannedPhase("recovery", end, end + experiment.recovery.timeout))
    steps = tuple(_step(i, s, target, start) for i, s in enumerate(experiment.faults))
    return Plan(end + experiment.recovery.timeout, tuple(phases), steps)


def _step(i: int, step: Step, target: Target, start: float) -> PlannedStep:
    names = {node.name for node in target.nodes}
    nodes = tuple(n for n in step.fault.nodes if n in names)
    line = step.fault.line([blast.candidates(step.fault.nodes, target)])
    return PlannedStep(f"f{i}", step.kind, line, nodes, start + step.at, start + step.at + step.duration)


def problems_of(experiment: Experiment, target: Target) -> list[Problem]:
    """Why the steps are impossible on `target`: blast radius, capability, cap, overlap."""
    found = []
    for i, step in enumerate(experiment.faults):
        where = f"faults.{i}.{step.kind}"
        try:
            count = blast.most(step.fault.nodes, target)
        except EngineError as error:
            found.append(Problem(f"{where}.nodes", str(error)))
            continue
        if why := blast.within_cap(_at_once(experiment, i, count, target), target):
            found.append(Problem(f"{where}.nodes", why))
        found += [Problem(where, why) for why in _incapable(step, target)]
    return found


def _incapable(step: Step, target: Target) -> list[str]:
    named = set(step.fault.nodes) & {node.name for node in target.nodes}
    whom = [n for n in target.nodes if n.name in named] if named else list(target.nodes)
    return sorted({why for node in whom if (why := lacks(node, step.fault.needs))})


def _at_once(experiment: Experiment, i: int, count: int, target: Target) -> int:
    """The most nodes hurt while step `i` lasts, its own and those of steps that overlap it."""
    step, total = experiment.faults[i], count
    for j, other in enumerate(experiment.faults):
        overlap = other.at < step.at + step.duration and step.at < other.at + other.duration
        if j != i and overlap:
            try:
                total += blast.most(other.fault.nodes, target)
            except EngineError:
                continue  # its own problem names it
    return min(total, len(target.nodes))
