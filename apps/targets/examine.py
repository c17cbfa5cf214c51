"""Looking at nodes before they are registered: may they be hurt, and does their address answer?"""

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress

from engine import drivers, inspect
from engine.errors import BadInput, EngineError, Problem
from engine.target import Node, Target

PATIENCE = 5.0  # seconds that a process just started by chaosboard gets before its address must answer


@contextmanager
def examine(target: Target, *, known: Mapping[str, Node], force: bool) -> Iterator[None]:
    """Raises BadInput where a new or changed node must not be registered; takes back what it prepared
    for them if that, or the body, fails."""
    fresh = {i: node for i, node in enumerate(target.nodes) if known.get(node.name) != node}
    prepared: list[Node] = []
    started = False
    try:
        problems: list[Problem] = []
        for i, node in fresh.items():
            prepared.append(node)
            found, node_started = _prepare(node, f"nodes.{i}")
            problems += found
            started |= node_started
        if not problems and not force:
            problems = _silent(target, fresh, PATIENCE if started else 0.0)
        if problems:
            raise BadInput(problems)
        yield
    except BaseException:
        release(prepared, keeping=known.values())
        raise


def release(nodes: Iterable[Node], *, keeping: Iterable[Node] = ()) -> None:
    """Closes the links and ends the processes that chaosboard holds for `nodes`, but not for `keeping`."""
    kept = [hold for node in keeping for hold in _holds(node)]
    for node in nodes:
        for hold in _holds(node):
            if hold not in kept:
                with suppress(EngineError):
                    hold[0].release(node)


def _holds(node: Node) -> list[tuple[drivers.Driver, str]]:
    """What chaosboard holds for a node: the link on its address, and the process it started."""
    try:
        found = drivers.drivers_of(node)
    except EngineError:
        return []
    return [(driver, node.address if name == "link" else "") for name, driver in found]


def _prepare(node: Node, where: str) -> tuple[list[Problem], bool]:
    """The problems with the drivers of `node`, and whether one of them started something."""
    try:
        found = drivers.drivers_of(node)
    except BadInput as error:
        return [Problem(f"{where}.{p.where}", p.message) for p in error.problems], False
    started = False
    for name, driver in found:
        place = f"{where}.upstream" if name == "link" else f"{where}.driver"
        try:
            started |= driver.prepare(node)
            why = driver.refusal(node)
        except EngineError as error:
            why = str(error)
        if why:
            return [Problem(place, why)], started
    return [], started


def _silent(target: Target, fresh: Mapping[int, Node], patience: float) -> list[Problem]:
    """A problem for each new node whose address does not answer within `patience` seconds."""
    end = time.monotonic() + patience
    asked = Target(name=target.name, kind=target.kind, nodes=tuple(fresh.values()))
    while True:
        looks = inspect.check(asked).nodes if fresh else ()
        silent = [
            Problem(f"nodes.{i}.address", f"{look.address} does not answer: {look.answer.rstrip('.')}.")
            for i, look in zip(fresh, looks, strict=True)
            if not look.reachable
        ]
        if not silent or time.monotonic() > end:
            return silent
        time.sleep(0.2)
