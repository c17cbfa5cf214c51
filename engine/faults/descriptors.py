import itertools
import os
import resource
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from engine.capabilities import Captured, Family, Host, Needs, ReadBack
from engine.errors import EngineError, Refused, Unreachable
from engine.faults import Fault, listed
from engine.parameters import param
from engine.processes import describe, grown, short
from engine.target import Node

ROUNDS = 3  # times that the family is walked: one that forks meanwhile hands its old limit down
LINE = "Max open files"  # of /proc/PID/limits


@dataclass(frozen=True)
class Descriptors(Fault):
    """Lets the node's processes open no more files and connections than they have: "too many open files"."""

    spare: int = param(0, help="how many more each of its processes can open", least=0)

    needs: ClassVar[Needs] = (Family, Host)

    def line(self, nodes: Sequence[str]) -> str:
        more = "no more files" if not self.spare else f"at most {self.spare} more files"
        return f"let {listed(nodes)} open {more}"

    def capture(self, driver: Any, node: Node) -> Captured:
        """The limits of each process, [soft, hard], and the soft one that it gets; the hard one stays.

        A hard limit could not be raised again by those who may not do everything.
        """
        if sys.platform != "linux":
            raise Refused("Only Linux lets the limits of another process be changed.")
        family = driver.family(driver.capture(node))
        limits, low = {}, {}
        for pid in (one["pid"] for one in family):
            try:
                old = list(resource.prlimit(pid, resource.RLIMIT_NOFILE))
                resource.prlimit(pid, resource.RLIMIT_NOFILE, (old[0], old[1]))  # may it be changed?
                low[str(pid)], limits[str(pid)] = _lowest(_open(pid), self.spare), old
            except (FileNotFoundError, ProcessLookupError):
                continue
            except PermissionError:
                raise Refused(
                    f"The limits of {describe(pid)} belong to another user.",
                    "Run chaosboard as that user, or as root.",
                ) from None
        if not limits:
            raise Unreachable(f"The processes of {node.name} have ended.")
        return {"family": family, "limits": limits, "low": low}

    def inject(self, driver: Any, node: Node, captured: Captured, mark: str, until: float) -> None:
        for one in grown(captured["family"]):
            old, low = _of(captured, "limits", one["pid"]), _of(captured, "low", one["pid"])
            if old[0] == resource.RLIM_INFINITY or low < old[0]:
                _set(one["pid"], [low, old[1]])

    def heal(self, driver: Any, node: Node, captured: Captured, mark: str) -> None:
        """Also what was started meanwhile, and inherited the limit, gets that of its elders back."""
        for _ in range(ROUNDS):
            for pid in _lowered(captured):
                _set(pid, _of(captured, "limits", pid))

    def read_back(self, driver: Any, node: Node, captured: Captured, mark: str) -> ReadBack:
        if lowered := _lowered(captured):
            return ReadBack(False, f"{short(lowered[0])} still has the low limit of open files")
        alive = grown(captured["family"])
        if not alive:
            return ReadBack(True, "the processes whose limit was lowered have ended")
        limit = _limit(alive[0]["pid"])
        return ReadBack(True, f"{short(alive[0]['pid'])} may open {limit[0] if limit else '?'} files again")


def _lowered(captured: Captured) -> list[int]:
    """The living processes that have not the limit that they should have, read from the system."""
    found = []
    for one in grown(captured["family"]):
        pid, now = one["pid"], _limit(one["pid"])
        ours = now and now[0] in map(str, captured["low"].values())
        if now and now != _shown(_of(captured, "limits", pid)) and (ours or str(pid) in captured["limits"]):
            found.append(pid)
    return found


def _of(captured: Captured, what: str, pid: int) -> Any:
    """What was captured of the process, or of the main one where it is new."""
    return captured[what].get(str(pid), next(iter(captured[what].values())))


def _open(pid: int) -> set[int]:
    return {int(number) for number in os.listdir(f"/proc/{pid}/fd")}


def _lowest(used: set[int], spare: int) -> int:
    """The limit below which exactly `spare` numbers are free: a new file gets the lowest that is free."""
    free = (number for number in itertools.count() if number not in used)
    return next(itertools.islice(free, spare, None))


def _set(pid: int, limits: list[int]) -> None:
    try:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (limits[0], limits[1]))
    except ProcessLookupError:
        return
    except (PermissionError, ValueError) as error:
        raise EngineError(f"The limit of open files of {describe(pid)} cannot be set: {error}.") from None


def _shown(limits: list[int]) -> list[str]:
    return ["unlimited" if value == resource.RLIM_INFINITY else str(value) for value in limits]


def _limit(pid: int) -> list[str]:
    """[soft, hard] as the kernel shows them; nothing where the process has ended."""
    try:
        text = Path(f"/proc/{pid}/limits").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    line = next(line for line in text.splitlines() if line.startswith(LINE))
    return line.removeprefix(LINE).split()[:2]
