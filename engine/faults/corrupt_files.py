import mmap
import os
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.faults import listed
from engine.faults._files import OnFiles, patterns, written
from engine.parameters import param
from engine.text import share

MOST = 1_000_000  # bytes of one file

_dice = random.SystemRandom()


@dataclass(frozen=True, kw_only=True)
class CorruptFiles(OnFiles):
    """Flips bits at random places in files of the stopped node, as a bad disk does, and starts it on them.

    Whether it notices, refuses to start, or serves what is wrong is what there is to see. At the end the
    node is stopped and has the directory that it had when the fault began: what it wrote meanwhile is
    gone, as on a machine that is put back to a snapshot. Where it does not stay up on that (a member of a
    Raft group may not: its peers know what it agreed to since), it goes on with what it lived on. With
    `keep` it does so anyhow, and the old files come back only where it does not run.
    """

    bytes: int = param(
        64,
        help="in how many bytes of each file one bit is flipped, zeros at its end left out",
        least=1,
        most=MOST,
    )
    share: float | None = param(
        None, unit="share", help="or: in which share of its bytes, at most a million", most=1
    )

    def line(self, nodes: Sequence[str]) -> str:
        how_much = f"{self.bytes} bytes" if self.share is None else share(self.share)
        return f"corrupt {how_much} of {patterns(self.files)} of {listed(nodes)}"

    def order(self, paths: list[Path]) -> list[Path]:
        return _dice.sample(paths, len(paths))

    def damage(self, path: Path) -> bool:
        if not (end := written(path)):
            return False
        seen = path.stat()
        wanted = self.bytes if self.share is None else max(1, round(self.share * end))
        with open(path, "r+b") as file, mmap.mmap(file.fileno(), 0) as data:
            for at in _dice.sample(range(end), min(wanted, MOST, end)):
                data[at] ^= 1 << _dice.randrange(8)
        os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))  # a bad disk leaves no trace
        return True
