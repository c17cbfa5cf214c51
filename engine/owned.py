"""Starting processes that carry the mark of a state directory, finding them by it, and stopping them.

The mark is `CHAOSBOARD_OWNER` in the environment: the absolute state directory. It outlives its
starter, so whoever comes next finds what was left behind. Parts of the board itself also carry
`CHAOSBOARD_PART`.
"""

import os
import signal
import subprocess
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import IO

import psutil

from engine.state import OWNER, PART


def launch(
    argv: Sequence[str], *, state: Path, log: Path | None, cwd: Path, extra: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """A marked process in a session of its own, so that Ctrl-C at the terminal does not reach it.

    What it says goes to `log`, or, without one, where the words of this process go.
    """
    environ = {k: v for k, v in os.environ.items() if k != PART}
    environ |= {OWNER: str(state), **(extra or {})}
    with _opened(log) as output:
        process = subprocess.Popen(
            argv,
            cwd=cwd,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT if output else None,
            start_new_session=True,
        )
    # Reaped as soon as it ends: a zombie would still answer to its pid.
    threading.Thread(target=process.wait, name=f"reap {process.pid}", daemon=True).start()
    return process


def _opened(log: Path | None) -> AbstractContextManager[IO[bytes] | None]:
    if log is None:
        return nullcontext()
    log.parent.mkdir(parents=True, exist_ok=True)
    return log.open("ab")


def marked(state: Path) -> list[psutil.Process]:
    """The living processes that carry the mark of this state directory, but not this one."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.pid != os.getpid() and process.environ().get(OWNER) == str(state):
                found.append(process)
    return [process for process in found if alive(process)]


def alive(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def stop(processes: Iterable[psutil.Process], grace: float = 2.0) -> list[psutil.Process]:
    """Asks, waits up to `grace` seconds, then kills; returns those that would not go even so."""
    processes = [p for p in processes if alive(p)]
    for process in processes:
        _send(process, signal.SIGTERM)
        _send(process, signal.SIGCONT)  # a paused process answers nothing until it is continued
    _gone, left = psutil.wait_procs(processes, timeout=grace)
    for process in left:
        _send(process, signal.SIGKILL)
    _gone, left = psutil.wait_procs(left, timeout=5)
    return [p for p in left if alive(p)]


def _send(process: psutil.Process, number: signal.Signals) -> None:
    with suppress(psutil.Error):
        process.send_signal(number)
