"""One server of a lab system: a process with a pid file, a log and the address where it listens."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from engine import owned
from engine.lab.links import Door
from engine.lab.places import Place

LAB = "CHAOSBOARD_LAB"  # in the environment of a lab's processes: the directory of their system

_DUMPED = "Crash dump is being written"  # Erlang's last word, after the one that tells why


@dataclass(frozen=True)
class Server:
    """`group` names the part of the system that it belongs to; "" is what clients use.

    `argv` is run in `place`; what it says goes to `log_file`, or beside it where it keeps a log itself.
    Where `address` is that of a link proxy, it listens on `behind`; its peers come through `doors`, if they are
    any. `companions` are pid files of other servers that share the node with it.
    `own_pid_file` is one that the program writes; it knows of a start that was not ours.
    """

    name: str
    address: str
    directory: Path
    place: Place
    argv: tuple[str, ...]
    environ: Mapping[str, str] = field(default_factory=dict)
    group: str = ""
    own_pid_file: Path | None = None
    behind: str = ""
    doors: tuple[Door, ...] = ()
    companions: tuple[Path, ...] = ()

    @property
    def host(self) -> str:
        return self.address.rpartition(":")[0]

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    @property
    def pid_file(self) -> Path:
        return self.directory / f"{self.name}.pid"

    @property
    def log_file(self) -> Path:
        return self.directory / f"{self.name}.log"

    @property
    def data(self) -> Path:
        return self.directory / f"{self.name}.data"

    @property
    def pid(self) -> int | None:
        """Of its process, or of the last one that it had."""
        known = [pid for file in (self.own_pid_file, self.pid_file) if file and (pid := _read(file))]
        return next(filter(_alive, known), known[-1] if known else None)

    @property
    def running(self) -> bool:
        return _alive(self.pid)

    def start(self, state: Path) -> None:
        process = owned.launch(
            self.place.command(self.argv), state=state, log=self.log_file.with_suffix(".out"),
            cwd=self.directory, extra={LAB: str(self.directory), **self.environ},
        )  # fmt: skip
        self.pid_file.write_text(f"{process.pid}\n")

    def last_line(self) -> str:
        """What it said last; what it wrote before its log was set up is beside it."""
        for path in (self.log_file.with_suffix(".out"), self.log_file):
            with suppress(OSError):
                lines = [line for line in path.read_text(errors="replace").splitlines() if line.strip()]
                if told := [line for line in lines if not line.startswith(_DUMPED)]:
                    return told[-1][:300]
        return "it left no message"


def _read(file: Path) -> int | None:
    with suppress(OSError, ValueError, IndexError):
        return int(file.read_text().split()[0])
    return None


def _alive(pid: int | None) -> bool:
    with suppress(psutil.Error):
        return pid is not None and owned.alive(psutil.Process(pid))
    return False
