"""What a switch-over writes into the data directory of the old primary, so that whoever comes after a kill knows.

Beside the data stands `chaosboard-<id>.<stage>` while it lasts. A stage is left by a rename, which one
process alone can do: where a healer has renamed `prepared` to `returning`, nobody promotes any more, and
where the injector has renamed it to `promoting`, nobody makes the old primary lead again.
"""

import contextlib
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from engine.errors import EngineError, Refused

PREPARED, PROMOTING, RETURNING = STAGES = ("prepared", "promoting", "returning")


@dataclass(frozen=True)
class Files:
    data: Path
    id: str

    @property
    def signal(self) -> Path:
        return self.data / "standby.signal"

    @property
    def _mark(self) -> str:
        return f"chaosboard {self.id}\n"

    def _stage(self, name: str) -> Path:
        return self.data / f"chaosboard-{self.id}.{name}"

    def stage(self) -> str:
        """One of STAGES; "" where it has not begun, or is over."""
        return next((name for name in STAGES if self._stage(name).exists()), "")

    def begin(self) -> None:
        self._write(self._stage(PREPARED), "")
        self._sync()

    def move(self, old: str, new: str) -> bool:
        """Whether it was this process that left the stage `old`; on the disk when it returns."""
        try:
            os.rename(self._stage(old), self._stage(new))
        except FileNotFoundError:
            return False
        self._sync()
        return True

    def make_standby(self) -> None:
        """From now on, whoever starts the server starts a standby. Raises Refused where one is made already."""
        scratch = self._stage("signal")
        self._write(scratch, self._mark)
        try:
            os.link(scratch, self.signal)  # at once with its mark, and never over another
        except FileExistsError:
            raise Refused(f"{self.signal} is there already, and not from chaosboard.") from None
        finally:
            scratch.unlink(missing_ok=True)
        self._sync()

    def make_primary(self) -> None:
        """Takes the signal away that `make_standby` wrote; no other."""
        with contextlib.suppress(FileNotFoundError):
            if self.signal.read_text() == self._mark:
                self.signal.unlink()
        self._sync()

    def end(self) -> None:
        """What is left belongs to the server from now on: its signal, without our mark."""
        with contextlib.suppress(FileNotFoundError):
            if self.signal.read_text() == self._mark:
                os.truncate(self.signal, 0)
        for name in (*STAGES, "signal"):
            self._stage(name).unlink(missing_ok=True)
        self._sync()

    def _write(self, path: Path, text: str) -> None:
        """A new file that is its directory's owner's, as the server needs it to be."""
        path.unlink(missing_ok=True)
        owner = os.stat(self.data)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            if os.geteuid() != owner.st_uid:
                os.fchown(descriptor, owner.st_uid, owner.st_gid)
            os.write(descriptor, text.encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _sync(self) -> None:
        descriptor = os.open(self.data, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def shut_down_at(pg_controldata: str, data: Path) -> str:
    """Where in its log the server was shut down in good order; raises EngineError where it was not."""
    environ = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run([pg_controldata, "-D", str(data)], capture_output=True, text=True, env=environ)
    except OSError as error:
        raise EngineError(f"{pg_controldata} cannot be run: {error.strerror}.") from None
    told = dict(line.split(":", 1) for line in done.stdout.splitlines() if ":" in line)
    state = told.get("Database cluster state", "").strip()
    if state != "shut down":
        raise EngineError(f"The server of {data} did not end in good order: its state is {state!r}.")
    return told["Latest checkpoint location"].strip()
