"""What the faults of a clock have in common: the process is put under a clock that is ours to move.

`captured["way"]` is how: `prepared` (the file that it reads already is changed), `library` (it is
started again with libfaketime) or `space` (it is started again in a time namespace).
"""

import contextlib
from dataclasses import dataclass
from typing import Any, ClassVar

import psutil

from engine.capabilities import Captured, Family, Host, Needs, ReadBack, Wrap
from engine.errors import EngineError, Refused
from engine.faults import Fault
from engine.host import faketime, time_spaces, wrapping
from engine.parameters import param
from engine.target import Node


@dataclass(frozen=True)
class _ClockFault(Fault):
    by: float = param(3600.0, unit="duration", help="by how much its clock is wrong", least=0.001)
    direction: str = param("ahead", choices=("ahead", "behind"), help="whether it is ahead or behind")
    grace: float = param(
        5.0,
        unit="duration",
        help="how long it may take to stop before it is killed; 2s at most when it is healed",
    )
    back_within: float = param(
        15.0, unit="duration", help="how long it may take to serve again after it was started with that clock"
    )

    needs: ClassVar[Needs] = (Wrap, Family, Host)

    @property
    def offset(self) -> float:
        return self.by if self.direction == "ahead" else -self.by

    def capture_wall(self, driver: Any, node: Node, rate: float = 1.0) -> Captured:
        """Raises Refused where the program pays no heed to libfaketime."""
        captured = dict(driver.capture(node))
        pid = driver.family(captured)[0]["pid"]
        environ = psutil.Process(pid).environ()
        if path := faketime.prepared(pid, environ):
            if rate != 1:
                raise Refused(
                    f"{node.name} runs under libfaketime already, and a rate would count from its start.",
                    "Leave out the rate, or start it without libfaketime.",
                )
            held = faketime.read_prepared(faketime.seen(pid, path))
            return {**captured, "way": "prepared", "file": path, "held": held}
        if wrapping.mapped(pid, "libfaketime"):
            raise Refused(
                f"{node.name} runs under libfaketime already, but no FAKETIME_TIMESTAMP_FILE is seen in it.",
                "Start it with one, and with a title that leaves its environment alone; or without libfaketime.",
            )
        wrapping.refuse_elsewhere(pid)
        library = faketime.library(pid)
        for one in wrapping.listening(driver.family(captured)):
            faketime.library(one)  # it may be a child of another program that serves
        faketime.refuse_unreadable(psutil.Process(pid).uids().effective)
        return {
            **captured, "way": "library", "library": library, "ports": wrapping.ports(node, driver.family(captured)),
            "besides": faketime.loaded_besides(pid, environ.get("LD_PRELOAD", "")),
        }  # fmt: skip

    def put_under(self, driver: Any, node: Node, captured: Captured, mark: str, text: str) -> None:
        """From now on its clock is what `move` says; at first `text`."""
        if captured["way"] == "prepared":
            self.move(driver, node, captured, mark, text)
            return
        faketime.lay(mark, captured["library"], text)
        try:
            wrapping.restart(
                driver, node, captured, lambda pid: faketime.carries(pid, mark),
                environ=faketime.environ(mark, captured["besides"]), before=(), grace=self.grace, within=self.back_within,
            )  # fmt: skip
        finally:
            faketime.note(mark)

    def move(self, driver: Any, node: Node, captured: Captured, mark: str, text: str) -> None:
        if captured["way"] == "prepared":
            faketime.write_prepared(_file(driver, node, captured), mark, text)
        else:
            faketime.set_time(mark, text)

    def heal(self, driver: Any, node: Node, captured: Captured, mark: str) -> None:
        if captured["way"] == "prepared":
            faketime.restore_prepared(_file(driver, node, captured), mark, captured["held"])
        elif captured["way"] == "library":
            faketime.note(mark)
            wrapping.end(driver, node, captured, lambda pid: faketime.carries(pid, mark), self.grace)
            faketime.clear(mark)
        else:
            wrapping.end(driver, node, captured, lambda pid: time_spaces.carries(pid, mark), self.grace)
            time_spaces.file(mark).unlink(missing_ok=True)

    def read_back(self, driver: Any, node: Node, captured: Captured, mark: str) -> ReadBack:
        if captured["way"] == "prepared":
            if mark in (faketime.read_prepared(_file(driver, node, captured)) or ""):
                return ReadBack(False, f"{captured['file']} still sets the clock of {node.name}")
            return ReadBack(True, f"{captured['file']} says what it said before")
        if left := _left(captured, mark):
            return ReadBack(False, f"{node.name}: {left[0]}")
        found: ReadBack = driver.running(node, captured)
        return ReadBack(found.gone, f"{found.text}, by the clock of the host") if found.gone else found


def _left(captured: Captured, mark: str) -> list[str]:
    if captured["way"] == "library":
        return faketime.left(mark)
    pids = wrapping.carrying(lambda pid: time_spaces.carries(pid, mark))
    return [f"pid {pid} has a monotonic clock of its own" for pid in pids]


def _file(driver: Any, node: Node, captured: Captured) -> str:
    """The file of a prepared process, which may have been started anew meanwhile."""
    pid = driver.family(captured)[0]["pid"]
    if not wrapping.elsewhere(pid):
        return str(captured["file"])
    with contextlib.suppress(EngineError):
        pid = driver.family(driver.capture(node))[0]["pid"]
    return faketime.seen(pid, captured["file"])
