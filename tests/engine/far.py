"""A far end as a process of the test's own, and the wardens that watch what tests leave behind."""

import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from engine import warden
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]
HERE = (sys.executable, "-m", "engine.far", "--state")


class FarEnd:
    """`python -m engine.far` on the other end of a pipe; `argv` says how it is started."""

    def __init__(self, state: Path, argv: Sequence[str] = HERE, **how: Any) -> None:
        self.state, self._numbers = state, itertools.count()
        self.process = subprocess.Popen(
            [*argv, str(state)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **how
        )

    def ask(self, do: str, **more: Any) -> dict[str, Any]:
        n = next(self._numbers)
        assert self.process.stdin
        assert self.process.stdout
        print(json.dumps({"n": n, "do": do, **more}), file=self.process.stdin, flush=True)
        answered: dict[str, Any] = json.loads(self.process.stdout.readline())
        assert answered.pop("n") == n
        return answered

    def prepare(self, id: str, fault: str, node: dict[str, Any], seconds: float = 60, **params: Any) -> Any:
        told = {"id": id, "run": "r", "step": "f0", "fault": fault, "params": params, "seconds": seconds}
        return self.ask("prepare", record=told, node={"kind": "", **node})

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(30)


def end_warden(state: Path) -> None:
    """Ends the warden of `state`, if one watches."""
    for process in psutil.process_iter(["cmdline"]):
        if {"warden", str(state)} <= set(process.info["cmdline"] or []):
            os.kill(process.pid, signal.SIGTERM)
    until(lambda: not warden.watching(state))
