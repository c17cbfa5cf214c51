"""Places of a lab in namespaces: a command is run there by entering them, and keeps its pid."""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from engine.lab.records import Record


@dataclass(frozen=True)
class Space:
    """The home of one node: `network` is a path to its network namespace, held open by the lab's keeper.

    `user` is a path to the lab's user namespace, "" where the lab was brought up with root.
    """

    host: str
    network: str
    user: str = ""
    owner: tuple[int, int] = (0, 0)

    def command(self, argv: Sequence[str]) -> tuple[str, ...]:
        """Without root, it runs as whoever brought the lab up, and not as the root that it is in there."""
        if not self.user:
            return ("nsenter", f"--net={self.network}", "--", *argv)
        uid, gid = self.owner
        back = ("unshare", "--user", f"--map-user={uid}", f"--map-group={gid}", "--")
        return (*self.entered(), *back, *argv)

    def entered(self) -> tuple[str, ...]:
        """What goes before a command that is to be root in the lab."""
        user = [f"--user={self.user}", "--preserve-credentials"] if self.user and _outside(self.user) else []
        return ("nsenter", *user, f"--net={self.network}", "--")


def space(record: Record, name: str) -> Space:
    seat = record.seats[name]
    return Space(
        seat["address"], f"/proc/{record.keeper['pid']}/fd/{seat['space']}", _user(record), record.owner
    )


def _user(record: Record) -> str:
    return "" if record.root else f"/proc/{record.keeper['pid']}/ns/user"


def _outside(user: str) -> bool:
    """Whether this process is not in the user namespace yet."""
    with suppress(OSError):
        return os.readlink(user) != os.readlink("/proc/self/ns/user")
    return True


def driver(record: Record, told: dict[str, Any]) -> dict[str, Any]:
    """How a node of the lab is controlled, from how its process is: {process: {pid_file: …}}."""
    return {"lab": {"lab": record.name, **told.get("process", {})}}
