"""One look at a target: can it be reached, what could be done to it, who leads?"""

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from engine import drivers, probes
from engine.errors import EngineError
from engine.faults import REGISTRY as FAULTS
from engine.probes import Leads, Probe, View
from engine.target import Node, Target
from engine.text import seconds
from engine.wire import WireError


@dataclass(frozen=True)
class NodeSeen:
    """`can` and `cannot` are names of faults; `cannot` says why not."""

    name: str
    address: str
    reachable: bool
    answer: str
    leads: bool | None
    can: tuple[str, ...]
    cannot: dict[str, str]
    process: str
    problem: str

    def to_dict(self) -> dict[str, Any]:
        return {**vars(self), "can": list(self.can)}


@dataclass(frozen=True)
class Inspection:
    nodes: tuple[NodeSeen, ...]
    leader: str | None

    def to_dict(self) -> dict[str, Any]:
        return {"nodes": [node.to_dict() for node in self.nodes], "leader": self.leader}


@dataclass(frozen=True)
class _Look:
    reachable: bool
    answer: str
    view: View | None


def check(target: Target, timeout: float = 2.0) -> Inspection:
    """Asks every node at once; no answer within `timeout` seconds is "no answer"."""
    looks = asyncio.run(_look_at_all(target, timeout))
    leader = _leader(target, looks)
    known = any(look.view for look in looks)
    seen = [
        _seen(node, look, (node.name == leader) if known else None)
        for node, look in zip(target.nodes, looks, strict=True)
    ]
    return Inspection(tuple(seen), leader)


def glance(target: Target, timeout: float = 2.0) -> list[dict[str, Any]]:
    """The same without what could be done to it, which takes longer to find out than to ask: of each node
    name, reachable, answer and leads (None where no node tells who leads)."""
    looks = asyncio.run(_look_at_all(target, timeout))
    leading, known = _leader(target, looks), any(look.view for look in looks)
    return [
        {
            "name": node.name,
            "reachable": look.reachable,
            "answer": look.answer,
            "leads": (node.name == leading) if known else None,
        }
        for node, look in zip(target.nodes, looks, strict=True)
    ]


def leader(target: Target, timeout: float = 2.0) -> str | None:
    """The name of the node that most nodes take for the leader, of the newest term where as many take another one.

    None where nobody leads.
    """
    return _leader(target, asyncio.run(_look_at_all(target, timeout)))


def faults_for(target: Target) -> dict[str, str]:
    """Each fault, with "" where every node can suffer it, or why some cannot."""
    found = {}
    for name, fault in FAULTS:
        reasons = [why for node in target.nodes if (why := drivers.lacks(node, fault.needs))]
        found[name] = reasons[0] if reasons else ""
    return found


def probe_for(kind: str) -> Probe:
    """The probe that asks a system of this kind whether it is there, without touching it."""
    return probes.REGISTRY.get(kind if kind in probes.REGISTRY else "tcp").reach()


async def _look_at_all(target: Target, timeout: float) -> list[_Look]:
    probe = probe_for(target.kind)
    return list(await asyncio.gather(*(_look(probe, node, timeout) for node in target.nodes)))


async def _look(probe: Probe, node: Node, timeout: float) -> _Look:
    session = probe.session(node)
    start = time.monotonic()
    try:
        reading = await asyncio.wait_for(session.look(), timeout)
        took = time.monotonic() - start
        view = None
        if reading.ok and isinstance(session, Leads):
            view = await asyncio.wait_for(session.view(), timeout)
        return _Look(reading.ok, seconds(took) if reading.ok else reading.error, view)
    except TimeoutError:
        return _Look(False, f"no answer in {seconds(timeout)}", None)
    except (WireError, OSError) as error:
        return _Look(False, str(error), None)
    finally:
        await session.close()


def _leader(target: Target, looks: list[_Look]) -> str | None:
    names = {look.view.me: node.name for node, look in zip(target.nodes, looks, strict=True) if look.view}
    for node in target.nodes:  # members may know each other by the links before them
        names |= {address: node.name for address in drivers.addresses(node) if address not in names}
    votes: dict[str, list[int]] = {}  # the terms in which somebody takes it for the leader
    for look in looks:
        if look.view and look.view.leader in names:
            votes.setdefault(names[look.view.leader], []).append(look.view.term or 0)
    return max(votes, key=lambda name: (len(votes[name]), max(votes[name])), default=None)


def _seen(node: Node, look: _Look, leads: bool | None) -> NodeSeen:
    cannot = {name: why for name, fault in FAULTS if (why := drivers.lacks(node, fault.needs))}
    problem, process = "", ""
    try:
        if own := drivers.control(node):
            problem, process = own.refusal(node), own.victim(node)
    except EngineError as error:
        problem = str(error)
    return NodeSeen(
        name=node.name,
        address=node.address,
        reachable=look.reachable,
        answer=look.answer,
        leads=leads,
        can=() if problem else tuple(name for name, _ in FAULTS if name not in cannot),
        cannot={**cannot, **({name: problem for name, _ in FAULTS} if problem else {})},
        process=process,
        problem=problem,
    )
