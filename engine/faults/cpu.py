import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import psutil

from engine import actor, state, units
from engine.capabilities import Captured, Needs, ReadBack
from engine.capabilities import Host as IsHere
from engine.errors import EngineError, Refused
from engine.faults import Fault, listed
from engine.parameters import param
from engine.target import Node

LOOK = 0.05  # seconds between two looks at the lease
ROUND = 0.1  # seconds in which a partial load works once and rests once
SETTLES = 0.2  # seconds in which a program that cannot work says so by ending


@dataclass(frozen=True)
class Cpu(Fault):
    """Loads the processors of the node's host, all of them or some, wholly or in part."""

    load: float = param(1.0, unit="share", help="how busy each of them is kept", least=0.01, most=1.0)
    workers: int | None = param(None, help="how many are loaded; all of the host if empty", least=1)

    needs: ClassVar[Needs] = IsHere
    ends_by_record: ClassVar[bool] = True

    def line(self, nodes: Sequence[str]) -> str:
        which = "the processors" if self.workers is None else f"{self.workers} of the processors"
        return f"load {which} on the host of {listed(nodes)} at {units.show(self.load, 'share')}"

    def capture(self, driver: Any, node: Node) -> Captured:
        """Raises Refused where this and what loads the host already come to more than it has."""
        here, loaded = _processors(), _loaded()
        if self._workers() > here:
            raise Refused(f"{driver.host()} has {here} processors, not {self.workers}.", "Load fewer.")
        load = self.load * self._workers()
        if loaded and loaded + load > here:
            raise Refused(
                f"Another fault loads {loaded:g} of the {here} processors of {driver.host()} already, and "
                f"{load:g} more is more than there are.",
                "Wait for it to heal, or load less.",
            )
        return {"load": load}

    def _workers(self) -> int:
        return self.workers or _processors()

    def inject(self, driver: Any, node: Node, captured: Captured, mark: str, until: float) -> None:
        actor.start(mark)

    def act(self, driver: Any, node: Node, captured: Captured, alive: Callable[[], bool]) -> None:
        commands = _commands(self.load, self._workers())
        at_work = [actor.spawn(command) for command in commands]
        _settle(at_work)
        actor.acting()
        while alive():
            time.sleep(LOOK)
            at_work = [
                child if child.poll() is None else actor.spawn(command)
                for child, command in zip(at_work, commands, strict=True)
            ]

    def heal(self, driver: Any, node: Node, captured: Captured, mark: str) -> None:
        actor.end(mark)

    def read_back(self, driver: Any, node: Node, captured: Captured, mark: str) -> ReadBack:
        if left := actor.left(mark):
            return ReadBack(False, f"what loads the processors is still there: {listed(left)}")
        return ReadBack(True, "nothing loads the processors any more")


def _processors() -> int:
    return psutil.cpu_count() or 1


def _loaded() -> float:
    """How many processors other faults of this kind load on this host."""
    from engine import undo  # not above: undo knows the faults

    return float(sum(r.captured.get("load", 0) for r in undo.records(state.root()) if r.fault == "cpu"))


def _commands(load: float, workers: int) -> list[list[str]]:
    if program := shutil.which("stress-ng"):
        percent = str(max(1, round(load * 100)))
        return [[program, "--cpu", str(workers), "--cpu-load", percent, "--timeout", "0", "--keep-name",
                 "--temp-path", str(state.root())]]  # fmt: skip
    return [[sys.executable, "-c", f"from engine.faults.cpu import _burn; _burn({load})"]] * workers


def _settle(at_work: "list[subprocess.Popen[bytes]]") -> None:
    end = time.monotonic() + SETTLES
    while time.monotonic() < end:
        if failed := [child for child in at_work if child.poll() is not None]:
            raise EngineError(f"What should load the processors ended at once: {failed[0].args!r}.")
        time.sleep(0.01)


def _burn(load: float) -> None:
    """Keeps one processor busy for the share `load` of each round, for ever."""
    while True:
        began, worked = time.monotonic(), time.process_time()
        while time.process_time() - worked < load * ROUND:
            pass
        time.sleep(max(0.0, ROUND - (time.monotonic() - began)))
