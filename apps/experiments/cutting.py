"""The map above the editor: which links the faults of a document would cut, and what would carry it."""

from dataclasses import dataclass, field
from typing import Any

from apps.targets.models import Target
from apps.targets.picture import picture
from engine.errors import EngineError
from engine.experiment import STEP as STEP_KEYS
from engine.faults import REGISTRY as FAULTS
from engine.links import Row, rows, unsettled
from engine.parameters import build
from engine.target import Target as EngineTarget
from engine.topology import Cuts, topology_of


@dataclass
class Cutting:
    """`steps` are the numbers of the steps that cut links, from 0, and `mine` is what the first of them cuts;
    `lines` say what they do, and what of it is known only when it begins; `problems` why they cannot."""

    picture: dict[str, Any]
    links: list[Row]
    steps: list[int] = field(default_factory=list)
    form: bool = False  # whether the editor shows a form, not a text
    step: str = ""  # the first of them as the form names it, "" where the map is not to be clicked
    kind: str = ""  # and its fault
    mine: Cuts = frozenset()
    lines: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def cut(self) -> int:
        """How many links are cut, one way or both."""
        return sum(row.cut_there or row.cut_back for row in self.links)


def cutting(document: Any, target: Target) -> Cutting:
    """For `document` as it stands in the editor, right or not."""
    engine, found = target.to_engine(), Cutting({}, [])
    cuts: Cuts = frozenset()
    filters = False
    faults = document.get("faults") if isinstance(document, dict) else None
    for i, step in enumerate(faults if isinstance(faults, list) else []):
        fault = _fault(step, found) if isinstance(step, dict) else None
        if fault is not None:
            mine = _cuts(fault, engine, target.leader or None, found)
            filters |= fault.filters
            if not found.steps:
                found.mine, found.kind = mine, _kind(step)
            found.steps.append(i)
            cuts |= mine
    found.picture = {**picture(target, cuts), "mine": sorted(map(list, found.mine))}
    found.links = rows(engine, cuts, filters=filters)
    found.problems += _uncarried(found.links)
    return found


def _kind(step: dict[str, Any]) -> str:
    return next((key for key in step if key not in STEP_KEYS), "")


def _fault(step: dict[str, Any], found: Cutting) -> Any:
    """The fault of a step that cuts links, None where it does not; one that is wrong cuts nothing."""
    kind = _kind(step)
    if kind not in FAULTS or not hasattr(FAULTS.get(kind), "topology"):
        return None
    try:
        return build(FAULTS.get(kind), step[kind])
    except EngineError as error:
        found.problems.append(str(error))
        return build(FAULTS.get(kind), {"nodes": []})


def _cuts(fault: Any, target: EngineTarget, leader: str | None, found: Cutting) -> Cuts:
    topology = topology_of(fault)
    if topology is None or not fault.nodes:
        return frozenset()
    try:
        cuts = topology.example(target, leader)
    except EngineError as error:
        found.problems.append(str(error))
        return frozenset()
    open = unsettled(topology, target, leader)
    found.lines.append(topology.line() + fault.narrowed() + (f"; {open}" if open else ""))
    return cuts


def _uncarried(links: list[Row]) -> list[str]:
    """What is to be cut and cannot be."""
    ways = [(row.one, row.other, row.there, row.cut_there) for row in links]
    ways += [(row.other, row.one, row.back, row.cut_back) for row in links]
    lost = [(a, b, way.why) for a, b, way, cut in ways if cut and not way.by]
    if not lost:
        return []
    a, b, why = lost[0]
    return [f"{len(lost)} of these directions cannot be cut, such as {a} → {b}: {why}"]
