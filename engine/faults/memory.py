import contextlib
import mmap
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from engine import actor, state, units
from engine.capabilities import Captured, Needs, ReadBack
from engine.capabilities import Host as IsHere
from engine.faults import Fault, listed
from engine.host import cgroups, reserves
from engine.parameters import param
from engine.target import Node

LOOK = 0.05  # seconds between two looks at the lease and at what is available
TOUCH = 1.0  # seconds between two touches of every page, so that none is swapped out
CHUNK = 16 * 2**20  # bytes that are taken or given back at a time
ROOM = 4 * CHUNK  # bytes above the reserve before more is taken
OVERHEAD = 64 * 2**20  # bytes that the process itself may need, besides page tables
ACTS_AFTER = 5.0  # seconds; a large amount goes on to be taken while it acts already


@dataclass(frozen=True)
class Memory(Fault):
    """Takes memory on the node's host and holds it, but never so much that the host would be in danger."""

    size: float | None = param(None, unit="size", help="how much it takes", least=2**20)
    share: float | None = param(
        None,
        unit="share",
        help="how much of what is available it takes; half of it where no size is given either",
        least=0.01,
        most=1.0,
    )

    needs: ClassVar[Needs] = IsHere
    ends_by_record: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.size is not None and self.share is not None:
            raise ValueError("gives both a size and a share; give one")

    def line(self, nodes: Sequence[str]) -> str:
        if self.size is not None:
            return f"take {units.show(self.size, 'size')} of memory on the host of {listed(nodes)}"
        share = units.show(self.share or 0.5, "share")
        return f"take {share} of the available memory on the host of {listed(nodes)}"

    def capture(self, driver: Any, node: Node) -> Captured:
        """Raises Refused where too little would remain."""
        promised = _promised()
        available = max(0.0, reserves.memory_available() - promised)
        size = int(self.size or (self.share or 0.5) * available)
        reserves.refuse_memory(size, promised)
        return {"size": size}

    def inject(self, driver: Any, node: Node, captured: Captured, mark: str, until: float) -> None:
        reserves.refuse_memory(captured["size"])
        actor.start(mark)

    def act(self, driver: Any, node: Node, captured: Captured, alive: Callable[[], bool]) -> None:
        size = captured["size"]
        with cgroups.around(os.environ[state.MARK], size + size // 256 + OVERHEAD):
            _Hoard(size).keep(alive)

    def heal(self, driver: Any, node: Node, captured: Captured, mark: str) -> None:
        actor.end(mark)
        cgroups.remove(mark)

    def read_back(self, driver: Any, node: Node, captured: Captured, mark: str) -> ReadBack:
        if left := [*actor.left(mark), *cgroups.left(mark)]:
            return ReadBack(False, f"what holds the memory is still there: {listed(left)}")
        return ReadBack(True, "the memory is given back")


def _promised() -> float:
    """The bytes that other faults of this kind are about to take."""
    from engine import undo  # not above: undo knows the faults

    others = undo.records(state.root())
    return float(sum(r.captured["size"] for r in others if r.fault == "memory" and r.state == "injecting"))


class _Hoard:
    """Memory that is held in chunks, and given back chunk by chunk where the host needs it."""

    def __init__(self, size: int) -> None:
        self.size, self.chunks = size, list[mmap.mmap]()
        self.kept = reserves.memory_kept()

    def keep(self, alive: Callable[[], bool]) -> None:
        began, touched, acting = time.monotonic(), time.monotonic(), False
        while alive():
            whole = not self._adapt()
            now = time.monotonic()
            if not acting and (whole or now - began > ACTS_AFTER):
                actor.acting()
                acting = True
            if now - touched > TOUCH:
                for chunk in self.chunks:
                    _touch(chunk)
                touched = time.monotonic()
            if whole:
                time.sleep(LOOK)

    def _adapt(self) -> bool:
        """Gives back what the host needs, or takes one chunk; False where there is nothing more to take."""
        available = reserves.memory_available()
        while self.chunks and available < self.kept:
            available += len(self.chunks[-1])
            self.chunks.pop().close()
        missing = self.size - sum(map(len, self.chunks))
        if missing <= 0 or available - self.kept < ROOM:
            return False
        self.chunks.append(mmap.mmap(-1, min(CHUNK, missing)))
        with contextlib.suppress(OSError, AttributeError):
            self.chunks[-1].madvise(mmap.MADV_HUGEPAGE)
        _touch(self.chunks[-1])
        return True


def _touch(chunk: mmap.mmap) -> None:
    """Writes to every page."""
    pages = len(range(0, len(chunk), mmap.PAGESIZE))
    chunk[:: mmap.PAGESIZE] = bytes([int(time.monotonic()) % 255 + 1]) * pages
