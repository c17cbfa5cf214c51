"""How a process of this host was started, and how it is started again as it was."""

import contextlib
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil

from engine.errors import Refused, Unreachable
from engine.host import standing
from engine.processes import Identity, describe, identity, link, status
from engine.state import OWNER, PART

BEGINS = 1.0  # seconds in which a process that was just started must tell what it runs
LOOK = 0.01  # seconds between two looks at it


def capture(pid: int) -> dict[str, Any]:
    """All that is needed to start the process again as it was; the environment may hold secrets.

    Raises Unreachable where it is gone, Refused where it tells nobody, or not us, what it runs.
    """
    end = time.monotonic() + BEGINS
    while not _told(pid) and time.monotonic() < end:
        time.sleep(LOOK)
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            found: dict[str, Any] = {
                "argv": process.cmdline(),
                "cwd": process.cwd(),
                "environ": process.environ(),
                "uid": process.uids().effective,
                "gid": process.gids().effective,
            }
    except psutil.NoSuchProcess:
        raise Unreachable(
            f"There is no process with pid {pid}.", "It may have ended; look it up again."
        ) from None
    except psutil.AccessDenied:
        raise Refused(f"{describe(pid)} belongs to another user.", "Run chaosboard as that user.") from None
    if not found["argv"]:
        raise Refused(f"{describe(pid)} has no command line, so it could not be started again.")
    found["program"] = link(f"/proc/{pid}/exe").removesuffix(" (deleted)") or found["argv"][0]
    found["output"] = _regular(f"/proc/{pid}/fd/1")
    found["errors"] = _regular(f"/proc/{pid}/fd/2")
    found["standing"] = standing.capture(pid)
    return found


def start(how: dict[str, Any]) -> Identity:
    """Starts what `capture` saw (argv, cwd, environ, uid, gid, output, standing) in a session of its own."""
    other = (how["uid"], how["gid"]) if how.get("uid") not in (None, os.geteuid()) else (None, None)
    wanted = how.get("standing", {})
    with (
        open(how.get("output") or os.devnull, "ab") as output,
        open(how.get("errors") or how.get("output") or os.devnull, "ab") as errors,
    ):
        try:
            child = subprocess.Popen(
                how["argv"],
                executable=executable(how),
                cwd=how["cwd"],
                env=how["environ"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                start_new_session=True,
                umask=wanted.get("umask", -1),
                preexec_fn=standing.assuming(wanted, *other),
            )
        except (OSError, subprocess.SubprocessError) as error:
            why = error.strerror if isinstance(error, OSError) else f"its user {how['uid']} cannot be assumed"
            raise Unreachable(f"{how['argv'][0]} could not be started: {why}.", "Start it by hand.") from None
    one = identity(child.pid)
    threading.Thread(target=child.wait, daemon=True).start()  # so that it leaves no zombie while we live
    return one


def started_again(how: dict[str, Any], old: Identity) -> Identity | None:
    """A process that `start` made of `how` after `old`, by somebody who died before he could say so."""
    for pid in psutil.pids():
        try:
            one = identity(pid)
            # cheap looks first: to read what a process was given can take long where its memory is short
            if one["started"] <= old["started"] or os.getsid(pid) != pid:  # which no forked worker leads
                continue
            process = psutil.Process(pid)
            if process.cmdline() != how["argv"] or status(one) == "gone":
                continue
            if (process.cwd(), process.environ()) == (how["cwd"], how["environ"]):
                return one
        except (Unreachable, OSError, psutil.Error):
            continue
    return None


def executable(how: dict[str, Any]) -> str | None:
    """A script runs by its own name, so that its interpreter is found as before."""
    program = how.get("program") or ""
    first = how["argv"][0]
    if os.path.sep in first or not program:
        return None
    return program if os.path.basename(program) == os.path.basename(first) else None


def write_pid(file: Path, pid: int) -> None:
    """In place, so that a kill leaves nothing beside it: whoever reads sees the old pid or the new one.

    A file that holds more than a pid is the program's own, as PostgreSQL's: that one is left to it.
    """
    with contextlib.suppress(OSError, UnicodeDecodeError):
        if len(file.read_text().split()) > 1:
            return
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        os.ftruncate(descriptor, os.write(descriptor, f"{pid}\n".encode()))
    finally:
        os.close(descriptor)


def start_part(command: str, part: str, folder: Path) -> None:
    """Starts `python -m engine.part COMMAND` on a state directory: it outlives whoever starts it."""
    folder.mkdir(parents=True, exist_ok=True)
    environ = {**os.environ, OWNER: str(folder), PART: part}
    with open(folder / f"{command}.log", "ab") as log:
        subprocess.Popen(
            [sys.executable, "-m", "engine.part", command, "--state", str(folder)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environ, start_new_session=True,
            cwd=Path(__file__).resolve().parents[1],
        )  # fmt: skip


def _told(pid: int) -> bool:
    """Whether it has a command line: one that has just been started gets it a moment later."""
    try:
        return bool(psutil.Process(pid).cmdline())
    except psutil.Error:
        return True  # there is nothing to wait for


def _regular(path: str) -> str:
    found = link(path).removesuffix(" (deleted)")
    return found if found.startswith("/") and os.path.isfile(found) else ""
