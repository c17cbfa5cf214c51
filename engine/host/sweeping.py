"""Rules and queues of ours whose undo record is lost: found on the machine by their mark, and removed when they do
nothing any more.

A table is removed when its time is over (its set `live` is empty), a device or a queueing discipline when no table
sends anything to it; both only when that was seen twice, `REST` seconds apart, so that what is just being made is
left alone, and only where they carry the sign of this state directory: what was made for another one is for its
own warden. What is left of a state directory that is gone does nothing, and stays.
"""

import contextlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import psutil

from engine.errors import EngineError
from engine.host import networks, nft, shaping

REST = 4.0  # seconds between seeing that something does nothing, and removing it
_TABLE = re.compile(r"^table (inet|netdev) chaosboard_(\S+)$", re.MULTILINE)
_LIVES = re.compile(r"set live \{[^}]*elements = \{", re.DOTALL)
Found = tuple[int, str]  # the number of a network namespace, and a mark in it


@dataclass
class Sweeper:
    """`sign` is that of the state directory; `known` says whether it has a record of a mark: whoever has one heals it."""

    sign: str
    known: Callable[[str], bool]
    _seen: dict[Found, float] = field(default_factory=dict)

    def sweep(self) -> list[str]:
        """The marks of which something was removed now."""
        if networks.cannot_change() or nft.absent():
            return []
        now, idle = time.monotonic(), set[Found]()
        removed = []
        for number, place in _networks().items():
            with contextlib.suppress(EngineError, OSError):  # it may be gone, or not be ours to enter
                for mark in networks.inside(place, partial(_idle, self.sign)):
                    if self.known(mark):
                        continue
                    idle.add((number, mark))
                    if now - self._seen.setdefault((number, mark), now) >= REST:
                        networks.inside(place, partial(_remove, mark))
                        removed.append(mark)
        self._seen = {found: at for found, at in self._seen.items() if found in idle}
        return removed


def _networks() -> dict[int, str]:
    """A way into each network namespace in which there is a process, by its number."""
    found: dict[int, str] = {}
    for pid in psutil.pids():
        with contextlib.suppress(OSError):
            path = Path(f"/proc/{pid}/ns/net")
            found.setdefault(path.stat().st_ino, str(path))
    return found


def _idle(sign: str) -> set[str]:
    """The marks of what is here, is of that state directory and does nothing."""
    there = {mark for _, mark in _TABLE.findall(nft.order("list tables"))}
    over = {mark for mark in there if all(_over(one, mark, sign) for one in nft.read(mark))}
    return over | (shaping.marks(sign) - there)


def _over(table: str, mark: str, sign: str) -> bool:
    return nft.owner(table, mark) == sign and not _LIVES.search(table)


def _remove(mark: str) -> None:
    nft.drop(mark)
    shaping.drop(mark)
