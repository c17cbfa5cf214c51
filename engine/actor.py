"""A process of ours that does the harm of one fault beside the node, as long as the fault's lease lives.

Some faults are not a state but a doing: to load a processor, to kill again and again, to answer for a
name server. `start` starts `python -m engine.actor`, which reads the undo record and calls the fault's
`act`. Every process of an actor carries the record's id in its environment as `CHAOSBOARD_MARK`, also
those that it starts, so that whoever heals finds and ends them all. The actor ends by itself when the
record's end has passed or its run has fallen silent; the kernel is told to end it first where memory
runs out.
"""

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from engine import state
from engine.errors import EngineError
from engine.state import MARK, OWNER, PART

COMES_UP = 10.0  # seconds for an actor to say that it acts
ACTS = b"acts\n"
ENDS = 5.0  # seconds for what was killed to be gone
_PR_SET_PDEATHSIG = 1


def start(mark: str) -> None:
    """Starts the actor of the record `mark`; returns when it acts. Raises EngineError where it does not."""
    folder = state.root()
    environ = {**os.environ, OWNER: str(folder), PART: "actor", MARK: mark, "CHAOSBOARD_STATE": str(folder)}
    log = folder / "actor.log"
    with open(log, "ab") as errors:
        child = subprocess.Popen(
            [sys.executable, "-m", "engine.actor", mark], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=errors, env=environ, start_new_session=True, cwd=Path(__file__).resolve().parents[1],
        )  # fmt: skip
    assert child.stdout
    with child.stdout as said:
        ready, _, _ = select.select([said], [], [], COMES_UP)
        words = os.read(said.fileno(), 65536) if ready else b""
    if not words.startswith(ACTS):
        raise EngineError(words.decode(errors="replace").strip() or f"The fault did not begin; see {log}.")


def end(mark: str) -> None:
    """Kills every process of the actor `mark`; returns when they are gone. Idempotent."""
    until = time.monotonic() + ENDS
    while (found := _processes(mark)) and time.monotonic() < until:
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.005)


def left(mark: str) -> list[str]:
    """What is left of the actor `mark`, in words."""
    return [f"pid {pid}" for pid in _processes(mark)]


def _processes(mark: str) -> list[int]:
    wanted = f"{MARK}={mark}".encode()
    found = []
    for pid in psutil.pids():
        if pid == os.getpid():
            continue
        try:
            if wanted in _environ(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                found.append(pid)
        except (OSError, psutil.Error):
            continue
    return found


def _environ(pid: int) -> list[bytes]:
    if sys.platform == "linux":
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return [f"{key}={value}".encode() for key, value in psutil.Process(pid).environ().items()]


def spawn(argv: Sequence[str]) -> "subprocess.Popen[bytes]":
    """A child of the actor that the kernel ends when the actor ends, however it ends."""
    libc = ctypes.CDLL(None, use_errno=True)

    def die_with_me() -> None:
        if sys.platform == "linux":
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)

    return subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        preexec_fn=die_with_me,
    )  # fmt: skip


def first_to_go() -> None:
    """Where memory runs out, the kernel ends this process and its children before any other."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def acting() -> None:
    """Tells whoever started the actor that it acts now: called by `Fault.act`, once."""
    with contextlib.suppress(OSError):
        os.write(1, ACTS)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def main(mark: str) -> int:
    from engine import undo  # not above: undo knows the faults, and they know this module

    folder = state.root()
    record = undo.record_of(folder, mark)
    if record is None:
        print(f"There is no undo record {mark}.")
        return 1
    first_to_go()

    def alive() -> bool:
        found = undo.record_of(folder, mark)
        if found is None or found.state not in ("injecting", "active"):
            return False
        return not undo.expired(folder, found)

    fault, driver, node = undo.parts(record)
    try:
        fault.act(driver, node, record.captured, alive)
    except (EngineError, OSError) as error:
        print(error, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
