import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.faults import listed
from engine.faults._files import OnFiles, patterns, written
from engine.parameters import param
from engine.units import show


@dataclass(frozen=True, kw_only=True)
class TruncateFiles(OnFiles):
    """Cuts the end off the newest files of the stopped node, as writes that a power cut loses, and starts it.

    Zeros at the end of a file are cut off besides: some systems make their logs large beforehand. At the
    end the node is stopped and has the directory that it had when the fault began: what it wrote
    meanwhile is gone, as on a machine that is put back to a snapshot. Where it does not stay up on that (a
    member of a Raft group may not: its peers know what it agreed to since), it goes on with what it lived
    on. With `keep` it does so anyhow, and the old files come back only where it does not run.
    """

    bytes: float = param(512.0, unit="size", help="how much is cut off the end of each file", least=1)

    def line(self, nodes: Sequence[str]) -> str:
        return f"cut {show(self.bytes, 'size')} off the newest of {patterns(self.files)} of {listed(nodes)}"

    def order(self, paths: list[Path]) -> list[Path]:
        return sorted(paths, key=lambda path: path.stat().st_mtime_ns, reverse=True)

    def damage(self, path: Path) -> bool:
        if end := written(path):
            os.truncate(path, max(0, end - int(self.bytes)))
        return end > 0
