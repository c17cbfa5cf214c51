"""What would have had to be there for an answer, and what can have been there instead."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from engine.checkers._core import Core
from engine.replay import Step
from engine.specs import ILLEGAL, Spec, State

SHOWN = 8  # states
MOST = 7  # steps of which every order is gone through


class Needed(NamedTuple):
    """`step` is an answer that needs another state than those that were `possible` when it can have happened."""

    step: Step
    possible: list[State]


def needed(spec: Spec, core: Core) -> Needed | None:
    """By trying every order of all the others; None where that is too much, or where none of it only looks."""
    looks = [s for s in core.steps if not s.maybe and spec.looks(s.call)]
    if not looks or len(core.steps) > MOST:
        return None
    step = max(looks, key=lambda s: s.end)
    others = [s for s in core.steps if s is not step]
    found: dict[State, None] = {}
    for start in [spec.initial] if core.starts is None else core.starts:
        _extend(spec, others, start, [], step, found)
    return Needed(step, list(found)[:SHOWN])


def _extend(
    spec: Spec, steps: Sequence[Step], state: State, order: list[int], step: Step, found: dict[State, None]
) -> bool:
    """Notes the states in which `step` can have come, of orders that can be ended; whether this one can be."""
    left = [i for i in range(len(steps)) if i not in order]
    ends = all(steps[i].maybe for i in left)
    for i in left:
        waits = any(steps[j].end < steps[i].start for j in left if not steps[j].maybe)
        if waits or any(steps[i].end < steps[j].start for j in order):
            continue
        after = spec.step(state, steps[i].call)
        if after is not ILLEGAL:
            ends |= _extend(spec, steps, after, [*order, i], step, found)
    before = all(steps[i].maybe or steps[i].end >= step.start for i in left)
    if ends and before and all(steps[i].start <= step.end for i in order):
        found.setdefault(state)
    return ends


def in_words(one: Needed) -> dict[str, Any]:
    """As a finding shows it."""
    return {
        "index": one.step.op.index,
        "answered": one.step.op.result,
        "possible": list(map(_plain, one.possible)),
    }


def _plain(state: State) -> Any:
    """As it stands in a history: lists for tuples, and sets as lists."""
    if isinstance(state, tuple):
        return state[1] if len(state) == 2 and state[0] == "bool" else [_plain(one) for one in state]
    return sorted(map(_plain, state), key=repr) if isinstance(state, frozenset) else state
