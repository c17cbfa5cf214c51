"""What a verdict is checked by: a replay of an order, and every order there is. Slow, short and obviously right."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from engine.columns import NEVER
from engine.history import Op
from engine.samples import Outcome
from engine.specs import ILLEGAL, Call, Spec

MOST = 10  # steps that `every_order` goes through in a moment


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened between `start` and `end`; `maybe` it did not happen."""

    call: Call
    start: int
    end: int  # NEVER where it is open
    op: Op
    maybe: bool = False


def steps(spec: Spec, ops: Sequence[Op]) -> list[Step]:
    """Of what changes or shows something. Raises BadInput where an operation is none of the spec's."""
    found = []
    for op in (part for one in ops for part in spec.parts(one)):
        call = spec.call(op)
        if call is not None:
            pending = op.outcome is Outcome.INFO or op.completed is None
            end = NEVER if pending or op.completed is None else op.completed
            found.append(Step(call, op.invoked, end, op, pending))
    return found


def rejects(spec: Spec, found: Sequence[Step], order: Sequence[int]) -> str:
    """Why `order`, positions in `found`, is none in which all this can have happened; "" where it is one."""
    if len(set(order)) != len(order):
        return "a step is in the order twice"
    if missing := {i for i, step in enumerate(found) if not step.maybe} - set(order):
        return f"operation {found[min(missing)].op.index} was answered and is not in the order"
    state, latest = spec.initial, -NEVER
    for position in order:
        step = found[position]
        if step.end < latest:
            return f"operation {step.op.index} had ended before one began that is ordered before it"
        latest = max(latest, step.start)
        after = spec.step(state, step.call)
        if after is ILLEGAL:
            return f"operation {step.op.index} cannot have been answered so after those before it"
        state = after
    return ""


def out_of_line(found: Sequence[Step], order: Sequence[int]) -> str:
    """Why `order` has not the operations of each process one after the other, as they stand in `found`; "" if it has."""
    latest: dict[int, int] = {}
    for position in order:
        process = found[position].op.process
        if latest.get(process, -1) > position:
            return (
                f"operation {found[position].op.index} of process {process} comes after one that followed it"
            )
        latest[process] = position
    return ""


def every_interleaving(spec: Spec, found: Sequence[Step]) -> bool:
    """Is there an order of all in which each process has its own one after the other? By trying each; time does not count."""
    lines: dict[int, list[Step]] = {}
    for step in found:
        lines.setdefault(step.op.process, []).append(step)
    return _interleaves(spec, list(lines.values()), {})


def _interleaves(spec: Spec, lines: list[list[Step]], states: dict[Hashable, Hashable]) -> bool:
    if all(step.maybe for line in lines for step in line):
        return True
    for n, line in enumerate(lines):
        if not line:
            continue
        step, others = line[0], [*lines[:n], line[1:], *lines[n + 1 :]]
        key = step.op.key if spec.keyed else None
        after = spec.step(states.get(key, spec.initial), step.call)
        if after is not ILLEGAL and _interleaves(spec, others, {**states, key: after}):
            return True
        if step.maybe and _interleaves(spec, others, states):
            return True
    return False


def every_order(
    spec: Spec, found: Sequence[Step], starts: Sequence[Hashable] | None = None
) -> list[int] | None:
    """The first order in which all this can have happened, after trying each; None where there is none."""
    for start in [spec.initial] if starts is None else starts:
        order = _extend(spec, found, start, [])
        if order is not None:
            return order
    return None


def _extend(spec: Spec, found: Sequence[Step], state: Hashable, order: list[int]) -> list[int] | None:
    left = [i for i in range(len(found)) if i not in order]
    if all(found[i].maybe for i in left):
        return order
    for i in left:
        if any(found[j].end < found[i].start for j in left if not found[j].maybe):
            continue  # j had ended before i began
        if any(found[i].end < found[j].start for j in order):
            continue  # i had ended before j began
        after = spec.step(state, found[i].call)
        if after is not ILLEGAL:
            longer = _extend(spec, found, after, [*order, i])
            if longer is not None:
                return longer
    return None
