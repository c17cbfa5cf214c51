"""The map above the editor: which links the faults of a document would cut, and what would carry it."""

from dataclasses import dataclass, field
from typing import Any

from apps.targets.models import Target
from apps.targets.picture import picture
from engine.errors import EngineError
from engine.experiment import STEP as STEP_KEYS
from engine.faults import REGISTRY as FAULTS
from engine.links import Row, rows
from engine.parameters import build
from engine.target import Target as EngineTarget
from engine.topology import Cuts, Topology, topology_of


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
    faults = document.get("faults") if isinstance(document, dict) else None
    for i, step in enumerate(faults if isinstance(faults, list) else []):
        topology = _topology(step, found) if isinstance(step, dict) else None
        if topology is not None:
            mine = _cuts(topology, engine, target.leader or None, found)
            if not found.steps:
                found.mine, found.kind = mine, _kind(step)
            found.steps.append(i)
            cuts |= mine
    found.picture = {**picture(target, cuts), "mine": sorted(map(list, found.mine))}
    found.links = rows(engine, cuts)
    found.problems += _uncarried(found.links)
    return found


def _kind(step: dict[str, Any]) -> str:
    return next((key for key in step if key not in STEP_KEYS), "")


def _topology(step: dict[str, Any], found: Cutting) -> Topology | None:
    kind = _kind(step)
    if kind not in FAULTS or not hasattr(FAULTS.get(kind), "topology"):
        return None
    try:
        return topology_of(build(FAULTS.get(kind), step[kind]))
    except EngineError as error:
        found.problems.append(str(error))
        return Topology("links", (), ())


def _cuts(topology: Topology, target: EngineTarget, leader: str | None, found: Cutting) -> Cuts:
    if not topology.text() and not topology.links:
        return frozenset()
    try:
        cuts = topology.example(target, leader)
    except EngineError as error:
        found.problems.append(str(error))
        return frozenset()
    line = topology.line()
    if topology.drawn(target):
        line += "; which nodes that is, dice say when it begins: this is one way it may fall"
    elif topology.needs_leader:
        line += f"; drawn for {leader} as the leader" if leader else "; drawn as if the first node led"
    found.lines.append(line)
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
