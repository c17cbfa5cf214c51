import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.faults import listed
from engine.faults._files import OnFiles, patterns
from engine.parameters import param
from engine.units import show

BLOCK = 1 << 16


@dataclass(frozen=True, kw_only=True)
class TruncateFiles(OnFiles):
    """Cuts the end off the newest files of the stopped node, as writes that a power cut loses, and starts it.

    Zeros at the end of a file are cut off besides: some systems make their logs large beforehand. At the
    end the node is stopped and has the directory that it had when the fault began: what it wrote
    meanwhile is gone, as on a machine that is put back to a snapshot. With `keep` it goes on with what
    it repaired; the old files come back only where it does not run.
    """

    bytes: float = param(512.0, unit="size", help="how much is cut off the end of each file", least=1)

    def line(self, nodes: Sequence[str]) -> str:
        return f"cut {show(self.bytes, 'size')} off the newest of {patterns(self.files)} of {listed(nodes)}"

    def order(self, paths: list[Path]) -> list[Path]:
        return sorted(paths, key=lambda path: path.stat().st_mtime_ns, reverse=True)

    def damage(self, path: Path) -> bool:
        if end := _end(path):
            os.truncate(path, max(0, end - int(self.bytes)))
        return end > 0


def _end(path: Path) -> int:
    """The size of a file without the zeros at its end."""
    with open(path, "rb") as file:
        end = file.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - BLOCK)
            file.seek(start)
            if data := file.read(end - start).rstrip(b"\0"):
                return start + len(data)
            end = start
    return 0
