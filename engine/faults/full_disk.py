from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.capabilities import Captured, ReadBack
from engine.errors import EngineError, Refused
from engine.faults import listed
from engine.faults._files import OnData
from engine.host import backups, directories, memory_disks, mounts
from engine.parameters import param
from engine.target import Node
from engine.units import show

PAGE = 4096


@dataclass(frozen=True, kw_only=True)
class FullDisk(OnData):
    """Starts the node on a copy of its data in memory that leaves it little room, so that its disk is full.

    The node is stopped to begin and to end it, and the fault needs root, to mount. What the node wrote
    meanwhile is no damage: it is on its own disk afterwards. Only where the host itself goes down
    meanwhile, what was written since the fault began is lost.
    """

    spare: float = param(2.0**20, unit="size", help="how much room it has to write to", least=PAGE)

    def line(self, nodes: Sequence[str]) -> str:
        return f"leave {show(self.spare, 'size')} on the disk of {listed(nodes)}"

    def consider(self, directory: Path, size: int) -> None:
        if mounts.may():
            raise Refused("To fill a disk, one is mounted, and that takes root.", "Run chaosboard as root.")
        needed, free = self._needed(directory), _free_memory()
        if needed > self.largest:
            raise Refused(f"The files in {directory} are larger than they look.", "Raise `largest`.")
        if needed > free / 2:
            raise Refused(f"{directory} would take more than half of the memory that is free on this host.")

    def _needed(self, directory: Path) -> int:
        """Bytes in memory, with `spare`."""
        return directories.length_of(directory, PAGE) + int(self.spare)

    def inject(self, driver: Any, node: Node, captured: Captured, mark: str, until: float) -> str:
        aside = self.aside(captured, mark)
        aside.begin()
        self.stop(driver, node, captured)
        aside.disk.mkdir()
        memory_disks.mount_memory(aside.disk, mark, self._needed(aside.directory) + PAGE)
        backups.fill(aside.directory, aside.disk)
        memory_disks.resize(aside.disk, memory_disks.used(aside.disk) + int(self.spare))
        memory_disks.bind(aside.disk, aside.directory)
        return self.start(driver, node, captured)

    def heal(self, driver: Any, node: Node, captured: Captured, mark: str) -> None:
        aside = self.aside(captured, mark)
        if aside.left() or memory_disks.ours(mark):
            self.halt(driver, node, captured)
            try:
                if aside.directory in memory_disks.ours(mark):
                    aside.take_over()
                memory_disks.unmount(mark)
            except EngineError:
                driver.start(node, captured)  # as it is: on the full disk it is better off than down
                raise
            aside.restore()
            aside.remove()
        driver.start(node, captured)

    def read_back(self, driver: Any, node: Node, captured: Captured, mark: str) -> ReadBack:
        aside = self.aside(captured, mark)
        if found := memory_disks.ours(mark):
            return ReadBack(False, f"{memory_disks.source(mark)} is still mounted on {found[-1]}")
        if aside.left():
            return ReadBack(False, f"what was put aside of {aside.directory} is still beside it")
        if not aside.directory.is_dir():
            return ReadBack(False, f"{aside.directory} is not there")
        runs: ReadBack = driver.running(node, captured)
        return ReadBack(runs.gone, f"{runs.text}, on its own disk" if runs.gone else runs.text)


def _free_memory() -> int:
    import psutil

    return int(psutil.virtual_memory().available)
