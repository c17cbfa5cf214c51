"""The smallest part of a history that shows that it cannot be: for a person to read and for brute force to confirm."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from engine.checkers._numbered import Found
from engine.checkers._search import search
from engine.replay import Step
from engine.specs import Call, Spec, State


@dataclass(frozen=True)
class Core:
    """`steps` cannot be ordered, whichever of `starts` it began in; None is the spec's own initial state.

    Even though those that are `maybe` need not have happened.
    """

    steps: list[Step]
    starts: Sequence[State] | None = None


def core(spec: Spec, steps: Sequence[Step], failed: int | None, deadline: float) -> Core:
    """Of `steps`, which cannot be ordered; `failed` is the one at whose end nothing was possible any more.

    What is left is smaller, and no less impossible: an operation is only ever left out or weakened in a
    way in which a possible history would stay possible.
    """
    kept = Core(list(steps))
    if failed is not None:
        calls = [step.call for step in steps]
        kept = _shorter(spec, Core(_until(steps, steps[failed].end)), calls, deadline)
    return _smaller(spec, kept, deadline)


def _until(steps: Sequence[Step], end: int) -> list[Step]:
    """What had begun by then; what ended later may or may not have happened."""
    return [s if s.end <= end else _weak(s) for s in steps if s.start <= end]


def _shorter(spec: Spec, whole: Core, calls: Sequence[Call], deadline: float) -> Core:
    """The shortest of the windows of the last 1, 2, 4 … sure steps that is impossible from any state."""
    sure = sorted((step for step in whole.steps if not step.maybe), key=lambda step: step.end)
    size = 1
    while size < len(sure) and time.monotonic() < deadline:
        begin = min(step.start for step in sure[-size:])
        inside = [_weak(step) if step.start < begin else step for step in whole.steps if step.end >= begin]
        starts = spec.starts([step.call for step in inside], calls)
        if starts is None:
            return whole
        if search(spec, inside, min(deadline, time.monotonic() + 1), starts).possible is False:
            return Core(inside, starts)
        size *= 2
    return whole


def _weak(step: Step) -> Step:
    """It may have happened, in its time."""
    return replace(step, maybe=True)


def _smaller(spec: Spec, kept: Core, deadline: float) -> Core:
    """Leaves out looks and weakens changes, one after the other, the oldest first, while it stays impossible."""
    sure = {(step.op.index, step.call): step for step in kept.steps}
    for step in sorted(kept.steps, key=lambda step: (not spec.looks(step.call), step.end)):
        others = [s for s in kept.steps if s is not step]
        if not step.maybe and time.monotonic() < deadline:
            tried = others if spec.looks(step.call) else [*others, _weak(step)]
            if _impossible(spec, tried, kept.starts, deadline):
                kept = Core(tried, kept.starts)
    last = max((s.end for s in kept.steps if not s.maybe), default=0)
    left = [s for s in kept.steps if s.start <= last and _matters(spec, s, kept.steps)]
    left = [sure.get((s.op.index, s.call), s) for s in left]  # more certain, and no less impossible
    return Core(sorted(left, key=lambda step: (step.start, step.op.index)), kept.starts)


def _impossible(spec: Spec, steps: Sequence[Step], starts: Sequence[State] | None, deadline: float) -> bool:
    found: Found = search(spec, steps, min(deadline, time.monotonic() + 1), starts)
    return found.possible is False


def _matters(spec: Spec, step: Step, steps: Sequence[Step]) -> bool:
    """Could it have helped, had it happened?"""
    if not step.maybe:
        return True
    if spec.looks(step.call):
        return False
    return spec.helps(step.call, [s.call for s in steps if s is not step])
