"""One part of the board: how it is started, when it is up, and what becomes of it."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from chaosboard import processes
from engine.state import PART

QUICK = 10.0  # seconds; a part that lived shorter has died quickly
DEATHS = 5  # so many quick deaths in a row are a defect that starting again will not mend
LONG = 20_000_000  # bytes of a log
PATIENCE = 60.0  # seconds until a part that is not up is complained about


@dataclass(frozen=True)
class Part:
    """`ready` is given what the part has logged since it was started."""

    name: str
    argv: tuple[str, ...]
    ready: Callable[[str], bool]
    where: str = ""
    grace: float = 3.0


class GivenUp(Exception):
    """A part died too often; the text says which, and what it said last."""


@dataclass
class Keeper:
    """Starts a part, notices its death, and starts it again."""

    part: Part
    state: Path
    home: Path
    extra: Mapping[str, str]
    say: Callable[[str], None]
    process: "subprocess.Popen[bytes] | None" = None
    up: bool = False
    started: float = 0.0
    due: float = 0.0
    deaths: int = 0
    _offset: int = field(default=0, repr=False)
    _complained: bool = field(default=False, repr=False)

    @property
    def log(self) -> Path:
        return self.state / "logs" / f"{self.part.name}.log"

    def look(self, now: float) -> None:
        """One look: starts what is due, greets what came up, buries what died."""
        if self.process is None:
            if now >= self.due:
                self.start(now)
        elif self.process.poll() is not None:
            self._died(now)
        elif not self.up:
            self._greet(now)
        elif now - self.started > QUICK:
            self.deaths = 0
            self._trim_log()

    def start(self, now: float) -> None:
        self._offset = self.log.stat().st_size if self.log.exists() else 0
        self.process = processes.launch(
            self.part.argv,
            state=self.state,
            log=self.log,
            cwd=self.home,
            extra={**self.extra, PART: self.part.name},
        )
        self.started, self.up, self._complained = now, False, False

    def _greet(self, now: float) -> None:
        if self.part.ready(self._said()):
            self.up = True
            self.say(f"  {self.part.name:<16}up in {now - self.started:3.1f} s  {self.part.where}".rstrip())
        elif now - self.started > PATIENCE and not self._complained:
            self._complained = True
            self.say(f"  {self.part.name:<16}not up after {PATIENCE:.0f} s; see {self.log}")

    def _died(self, now: float) -> None:
        assert self.process is not None
        how, lived = ended(self.process.returncode), now - self.started
        self._kill_children()
        self.process, self.up = None, False
        self.deaths = self.deaths + 1 if lived < QUICK else 1
        if self.deaths >= DEATHS:
            raise GivenUp(
                f"{self.part.name} {how}, {DEATHS} times in a row. It said last:\n"
                f"    {last_words(self._said())}\n  All of it is in {self.log}"
            )
        wait = 0.5 * 2 ** (self.deaths - 1)
        self.due = now + wait
        self.say(f"  {self.part.name:<16}{how} after {lived:.1f} s; started again in {wait:.1f} s")

    def _kill_children(self) -> None:
        """What a dead part leaves of its process group would go on half-alive beside its successor."""
        assert self.process is not None
        with suppress(OSError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def _trim_log(self) -> None:
        """Sets a long log aside; the part goes on appending to the emptied file."""
        with suppress(OSError):
            if self.log.stat().st_size > LONG:
                shutil.copyfile(self.log, self.log.with_suffix(".log.1"))
                os.truncate(self.log, 0)

    def _said(self) -> str:
        with suppress(OSError), self.log.open("rb") as file:
            file.seek(self._offset)
            return file.read(200_000).decode(errors="replace")
        return ""

    def ask(self) -> None:
        """Asks it to stop, without waiting."""
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """Waits for the end that was asked for, and makes it where it does not come."""
        if self.process is None:
            return
        try:
            self.process.wait(self.part.grace)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(5)
        self._kill_children()
        self.process = None


def ended(code: int) -> str:
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with status {code}"


def last_words(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "nothing"
