import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from engine import actor, state, units
from engine.capabilities import Captured, Needs, ReadBack
from engine.capabilities import Host as IsHere
from engine.faults import Fault, listed
from engine.host import reserves
from engine.parameters import param
from engine.target import Node

LOOK = 0.05  # seconds between two looks at the lease
BLOCK = 256 * 2**10  # bytes that are written and brought to the disk at a time


@dataclass(frozen=True, kw_only=True)
class Io(Fault):
    """Keeps the disk of a directory busy: writes to files and brings each write to the disk (fsync)."""

    directory: str = param(help="the directory, on the node's host, in which it writes")
    writers: int = param(1, help="how many write at the same time", least=1, most=64)
    rate: float | None = param(
        None, unit="size", help="how much each writes in a second; as fast as it can if empty", least=BLOCK
    )
    file_size: float = param(
        64 * 2.0**20,
        unit="size",
        help="how large the file of each becomes, before it starts over",
        least=BLOCK,
    )

    needs: ClassVar[Needs] = IsHere
    ends_by_record: ClassVar[bool] = True

    def line(self, nodes: Sequence[str]) -> str:
        rate = "as fast as it can" if self.rate is None else f"at {units.show(self.rate, 'size')} a second"
        who = "one writer" if self.writers == 1 else f"{self.writers} writers"
        return f"keep the disk in {self.directory} on the host of {listed(nodes)} busy: {who}, {rate}"

    def capture(self, driver: Any, node: Node) -> Captured:
        where = reserves.directory(self.directory)
        reserves.refuse_disk(where, self.file_size * self.writers)
        return {"directory": str(where)}

    def inject(self, driver: Any, node: Node, captured: Captured, mark: str, until: float) -> None:
        actor.start(mark)

    def act(self, driver: Any, node: Node, captured: Captured, alive: Callable[[], bool]) -> None:
        where, mark = Path(captured["directory"]), os.environ[state.MARK]
        over = threading.Event()
        files = [os.open(where / f"{_name(mark)}{i}", os.O_WRONLY | os.O_CREAT, 0o600)
                 for i in range(self.writers)]  # fmt: skip
        try:
            at_work = [threading.Thread(target=self._write, args=(file, over), daemon=True) for file in files]
            for writer in at_work:
                writer.start()
            actor.acting()
            while alive():
                time.sleep(LOOK)
        finally:
            over.set()
            _remove(where, mark)

    def _write(self, file: int, over: threading.Event) -> None:
        block = os.urandom(BLOCK)
        pause = BLOCK / self.rate if self.rate else 0.0
        at, due = 0, time.monotonic()
        while not over.is_set():
            try:
                os.pwrite(file, block, at)
                os.fsync(file)
            except OSError:
                over.wait(LOOK)  # the disk is full, perhaps by another fault: it goes on where it can
            at = 0 if at + 2 * BLOCK > self.file_size else at + BLOCK
            due = max(due + pause, time.monotonic() - 1.0)  # what was missed longer ago is not made up for
            over.wait(max(0.0, due - time.monotonic()))

    def heal(self, driver: Any, node: Node, captured: Captured, mark: str) -> None:
        actor.end(mark)
        _remove(Path(captured["directory"]), mark)

    def read_back(self, driver: Any, node: Node, captured: Captured, mark: str) -> ReadBack:
        files = map(str, _files(Path(captured["directory"]), mark))
        if left := [*actor.left(mark), *files]:
            return ReadBack(False, f"what keeps the disk busy is still there: {listed(left)}")
        return ReadBack(True, "nothing writes any more, and its files are removed")


def _name(mark: str) -> str:
    return f"chaosboard-{mark}.io."


def _files(where: Path, mark: str) -> list[Path]:
    return sorted(where.glob(f"{_name(mark)}*"))


def _remove(where: Path, mark: str) -> None:
    for file in _files(where, mark):
        file.unlink(missing_ok=True)
