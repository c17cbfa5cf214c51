"""What faults on a node's data directory share: the node is stopped, its data changed, and it is started."""

import fnmatch
import os
import stat
import time
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from engine.capabilities import Captured, Needs, ReadBack
from engine.capabilities import Host as IsHere
from engine.capabilities import Restart as CanRestart
from engine.errors import EngineError, Refused
from engine.faults import Fault
from engine.host.backups import Aside
from engine.host.directories import check, in_words, writers
from engine.host.wrapping import SOON
from engine.parameters import param
from engine.processes import describe
from engine.target import Node

LOOK = 0.02  # seconds between two looks whether the node runs
BLOCK = 1 << 16


@dataclass(frozen=True, kw_only=True)
class OnData(Fault):
    """The base of faults on the directory in which a node keeps its data."""

    directory: str = param(help="the node's data directory on its host; {node} in it is the node's name")
    largest: float = param(2 * 2.0**30, unit="size", help="how much it may hold, since all of it is copied")
    grace: float = param(
        5.0,
        unit="duration",
        help="how long the node may take to stop before it is killed; 2s at most when it is healed",
    )
    watch: float = param(
        1.0, unit="duration", help="how long to see whether it stays up after it was started"
    )

    needs: ClassVar[Needs] = (CanRestart, IsHere)

    def capture(self, driver: Any, node: Node) -> Captured:
        written = Path(self.directory.replace("{node}", node.name))
        directory = Path(os.path.realpath(written)) if written.is_absolute() else written
        size = check(directory, self.largest)
        self.consider(directory, size)
        data = {"directory": str(directory), "inode": directory.stat().st_ino}
        return {**driver.capture(node), "data": data}

    def consider(self, directory: Path, size: int) -> None:
        """Raises Refused where this fault is of no use on the directory, of `size` bytes."""

    def stop(self, driver: Any, node: Node, captured: Captured) -> None:
        """Stops the node; raises EngineError where somebody writes to its directory all the same."""
        driver.stop(captured, self.grace)
        if driver.running(node, captured).gone:
            raise EngineError(f"{node.name} did not stop, so its files were left alone.")
        directory = captured["data"]["directory"]
        if found := writers(Path(directory)):
            raise EngineError(
                f"{directory} is in use by {describe(found[0])} too, so its files were left alone.",
                "Name a directory that is the node's alone.",
            )

    def start(self, driver: Any, node: Node, captured: Captured) -> str:
        """Starts the node. That it does not start on what it finds is no failure of the fault: it is told."""
        try:
            driver.start(node, captured)
        except EngineError as error:
            return f"{node.name} does not start on what it finds: {error}"
        if self.lives(driver, node, captured):
            return ""
        return f"{node.name} ended when it saw its files"

    def lives(self, driver: Any, node: Node, captured: Captured) -> bool:
        """Whether it runs, and goes on to for a while."""
        end = time.monotonic() + self.watch
        while driver.running(node, captured).gone is not False:
            if time.monotonic() > end:
                return True
            time.sleep(LOOK)
        return False

    def halt(self, driver: Any, node: Node, captured: Captured) -> None:
        """Stops what runs of the node now, whoever started it."""
        if driver.running(node, captured).gone is False:
            return
        why = ""
        try:
            driver.stop(driver.capture(node), min(self.grace, SOON))
        except EngineError as error:  # it may just have ended by itself
            why = str(error)
        if driver.running(node, captured).gone:
            raise EngineError(f"{node.name} does not stop, so its files are not put back. {why}".strip())

    def aside(self, captured: Captured, mark: str) -> Aside:
        return Aside(Path(captured["data"]["directory"]), mark)


@dataclass(frozen=True, kw_only=True)
class OnFiles(OnData):
    """The base of faults that damage files in a copy of the directory, which takes its place for a while."""

    files: list[str] = param(["*"], help="which files, as patterns of names or paths in it: *.wal, wal/*")
    count: int = param(1, help="how many of these files; 0: all of them", least=0)
    keep: bool = param(
        False, help="do not put the old files back, but leave it to the node to repair what it has"
    )

    @abstractmethod
    def damage(self, path: Path) -> bool:
        """Damages one file; says whether there was anything to damage."""

    @abstractmethod
    def order(self, paths: list[Path]) -> list[Path]:
        """In which order the files are hit."""

    def consider(self, directory: Path, size: int) -> None:
        if not self.matching(directory):
            raise Refused(f"No file with anything in it matches {' '.join(self.files)} in {directory}.")

    def matching(self, directory: Path) -> list[Path]:
        """The files that match and hold something; links are not followed."""
        found = []
        for folder, _, names in os.walk(directory):
            for path in (Path(folder, name) for name in names):
                if self._matches(str(path.relative_to(directory)), path.name) and _holds(path):
                    found.append(path)
        return found

    def _matches(self, *names: str) -> bool:
        return any(fnmatch.fnmatch(name, pattern) for name in names for pattern in self.files)

    def inject(self, driver: Any, node: Node, captured: Captured, mark: str, until: float) -> str:
        aside = self.aside(captured, mark)
        aside.begin()
        self.stop(driver, node, captured)
        aside.duplicate()
        hit = self._damage_some(aside.copy)
        aside.swap()
        return "; ".join(filter(None, [f"hit: {in_words(hit)}", self.start(driver, node, captured)]))

    def _damage_some(self, directory: Path) -> list[str]:
        hit: list[str] = []
        for path in self.order(self.matching(directory)):
            if (not self.count or len(hit) < self.count) and self.damage(path):
                hit.append(str(path.relative_to(directory)))
        if not hit:
            raise EngineError(f"When it was stopped, no file of it matched {' '.join(self.files)} any more.")
        return hit

    def heal(self, driver: Any, node: Node, captured: Captured, mark: str) -> None:
        aside, changed = self.aside(captured, mark), list[str]()
        if aside.left():
            if not (self.keep and self._repaired(driver, node, captured, aside)):
                changed = self._put_back(driver, node, captured, aside)
            aside.remove()
        driver.start(node, captured)
        if changed:
            raise EngineError(
                f"{aside.directory} was put back, but somebody wrote to it meanwhile: {in_words(changed)}."
            )

    def _repaired(self, driver: Any, node: Node, captured: Captured, aside: Aside) -> bool:
        """Whether the node lives on its damaged files; where it does not, the old ones are needed."""
        return aside.directory.exists() and not self.start(driver, node, captured)

    def _put_back(self, driver: Any, node: Node, captured: Captured, aside: Aside) -> list[str]:
        """Puts the old files back; where the node lived on the damaged ones and does not on these, those.

        A member of a Raft group is such a node: its peers know what it agreed to since. Gives the old
        files that somebody changed while they were aside.
        """
        changed = list[str]()
        if not aside.refused.exists():
            if aside.kept.exists():
                if driver.running(node, captured).gone:
                    aside.lived.touch()
                self.halt(driver, node, captured)
                changed = aside.restore()
            if not aside.lived.exists() or not self._stays_down(driver, node, captured):
                return changed
            self.halt(driver, node, captured)
        aside.fall_back()
        if self.start(driver, node, captured):
            self.halt(driver, node, captured)
            aside.insist()
        return changed

    def _stays_down(self, driver: Any, node: Node, captured: Captured) -> bool:
        """Whether the node does not stay up, twice: once, somebody else may have ended it just then."""
        return all(self.start(driver, node, captured) for _ in range(2))

    def read_back(self, driver: Any, node: Node, captured: Captured, mark: str) -> ReadBack:
        aside = self.aside(captured, mark)
        if aside.left():
            return ReadBack(False, f"what was put aside of {aside.directory} is still beside it")
        try:
            original = aside.directory.stat().st_ino == captured["data"]["inode"]
        except OSError as error:
            return ReadBack(False, f"{aside.directory} cannot be read: {error.strerror}")
        found: ReadBack = driver.running(node, captured)
        if not found.gone:
            return found
        if original:
            return ReadBack(True, f"{found.text}, on the files that it had")
        now = f"{found.text}, on the damaged files, as it repaired them"
        if self.keep:
            return ReadBack(True, now)
        # nobody can say that no damage is left in them, so a person must
        return ReadBack(None, f"{now}; on those that it had before it did not stay up")


def _holds(path: Path) -> bool:
    seen = path.lstat()
    return stat.S_ISREG(seen.st_mode) and seen.st_size > 0


def patterns(files: Sequence[str]) -> str:
    return "files" if list(files) == ["*"] else " ".join(files)


def written(path: Path) -> int:
    """The size of a file without the zeros at its end: some systems make their files large beforehand."""
    with open(path, "rb") as file:
        end = file.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - BLOCK)
            file.seek(start)
            if data := file.read(end - start).rstrip(b"\0"):
                return start + len(data)
            end = start
    return 0
