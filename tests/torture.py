"""Kills chaosboard's own parts while faults are active, then reads the machine: `python -m tests.torture`.

Each round starts a random fault on a real server and, at a random instant, kills (SIGKILL) one or two
of the board's parts, the server itself, or everything at once. After lease + 5 s it reads process
states and the links themselves, never chaosboard's records, and counts what is left of the fault; then
whether the run came to an end that tells the truth, and whether an event of it is missing.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import psutil

from chaosboard import ports, processes
from engine import proxy
from engine.errors import EngineError
from engine.processes import listeners
from engine.undo import LEASE
from tests.board import Board, Command, clear
from tests.waiting import until

FAULTS: dict[str, dict[str, Any]] = {
    "kill": {}, "pause": {}, "restart": {}, "latency": {"delay": "50ms"}, "partition": {},
}  # fmt: skip
PARTS = ("worker-runs", "worker-control", "beat", "web", "redis", "warden", "links")
LASTS = 4.0  # seconds of a fault
AFTER = 5.0  # seconds beyond the lease in which everything must be healed


class Server:
    """A real server behind a link; whoever looks after it starts it again when it has died."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name, self.folder = name, folder
        self.port, self.link = ports.choose(2)
        self.pid_file = folder / f"{name}.pid"
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "http.server", str(self.port), "--bind", "127.0.0.1"]
        with (self.folder / f"{self.name}.log").open("ab") as log:
            child = subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log, start_new_session=True)
        self.pid_file.write_text(str(child.pid))
        until(lambda: listeners(self.port))

    @property
    def pids(self) -> set[int]:
        return listeners(self.port)

    def end(self) -> None:
        for pid in self.pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def node(self) -> dict[str, Any]:
        return {
            "name": "one", "address": f"127.0.0.1:{self.link}", "upstream": f"127.0.0.1:{self.port}",
            "driver": {"process": {"pid_file": str(self.pid_file)}},
        }  # fmt: skip

    def wrong(self, state: Path) -> list[str]:
        """What the machine shows of a fault that was not taken back; empty where there is nothing."""
        found = []
        for process in _running(self.pids):
            if process.status() == psutil.STATUS_STOPPED:
                found.append(f"{self.name}: pid {process.pid} is stopped")
        if not self.pids:
            found.append(f"{self.name}: does not run")
        elif len(self.pids) > 1:
            found.append(f"{self.name}: runs {len(self.pids)} times")
        return found + self._disturbed(state)

    def _disturbed(self, state: Path) -> list[str]:
        try:
            marks = proxy.call(state, {"do": "read", "listen": f"127.0.0.1:{self.link}"})["marks"]
        except EngineError as error:
            return [f"{self.name}: its link cannot be read: {error}"]
        return [f"{self.name}: its link is disturbed by {mark}" for mark in marks]


@dataclass
class Count:
    rounds: int = 0
    left: list[str] = field(default_factory=list)
    untrue: list[str] = field(default_factory=list)
    lost: int = 0

    def __str__(self) -> str:
        return (
            f"rounds {self.rounds}, left behind {len(self.left)}, "
            f"untrue endings {len(self.untrue)}, lost samples {self.lost}"
        )


class Torture:
    def __init__(self, folder: Path, seed: int) -> None:
        self.dice, self.count = random.Random(seed), Count()
        self.state = folder / "state"
        self.board = Board(self.state)
        self.server = Server(folder, "victim")
        self.board.api("POST", "services", {"name": "victim", "kind": "http", "nodes": [self.server.node()]})
        self.experiments = {
            name: self.board.api("POST", "experiments", self.document(name, more))["id"]
            for name, more in FAULTS.items()
        }

    def document(self, name: str, more: dict[str, Any]) -> dict[str, Any]:
        return {
            "name": f"{name} in torture",
            "target": "victim",
            "steady_state": [{"probe": "http", "every": "50ms", "timeout": "300ms",
                              "tolerance": {"availability": ">= 95%"}}],
            "baseline": "500ms",
            "faults": [{"at": "0s", "for": f"{LASTS}s", name: {"nodes": ["one"], **more}}],
            "recovery": {"timeout": "8s", "stable": "500ms"},
        }  # fmt: skip

    def round(self) -> str:
        """One round; what was done, in words."""
        fault = self.dice.choice(list(FAULTS))
        run = self.patiently("POST", f"experiments/{self.experiments[fault]}/start")["id"]
        self.wait_for_the_fault(run)
        wait = self.dice.uniform(0.0, LASTS + 1.0)
        time.sleep(wait)  # the random instant
        victims = self.choose()
        for victim in victims:
            self.kill(victim)
        killed = time.monotonic()
        if "the server" in victims:
            self.look_after_the_server(killed)
        self.revive(victims)
        time.sleep(max(0.0, killed + max(LASTS - wait, 0.0) + LEASE + AFTER - time.monotonic()))
        wrong = self.server.wrong(self.state)
        self.count.rounds += 1
        told = f"{fault}, {wait:.1f} s, {' and '.join(victims)} killed"
        self.count.left += [f"{told}: {one}" for one in wrong]
        self.judge(run, told, wrong)
        return told

    def choose(self) -> list[str]:
        if self.dice.random() < 0.1:
            return ["everything"]
        return self.dice.sample([*PARTS, "the server"], self.dice.choice((1, 1, 2)))

    def wait_for_the_fault(self, run: int) -> None:
        def begun() -> bool:
            now = self.patiently("GET", f"runs/{run}")
            return now["phase"] in ("fault", "recovery", "judging", "done") or now["state"] == "done"

        until(begun, 60)

    def kill(self, victim: str) -> None:
        if victim == "the server":
            self.server.end()
            return
        if victim == "everything":
            self.board.command.process.kill()
            self.board.command.process.wait()
        for process in processes.marked(self.state):
            if victim in ("everything", processes.part(process)):
                with suppress(psutil.NoSuchProcess):
                    process.kill()

    def look_after_the_server(self, killed: float) -> None:
        """As its own supervisor would: it is started again, unless the healing has done it."""
        time.sleep(max(0.0, killed + LASTS + LEASE + 1.0 - time.monotonic()))
        if not self.server.pids:
            self.server.start()

    def revive(self, victims: list[str]) -> None:
        if "everything" in victims:
            self.board.command = Command(self.state, self.board.port)
            self.board.command.wait_for("Ctrl-C heals and stops everything")

    def patiently(self, method: str, path: str) -> Any:
        """The API's answer, however long the web server is away."""
        end = time.monotonic() + 60
        while True:
            try:
                return self.board.api(method, path)
            except (httpx.TransportError, AssertionError):
                if time.monotonic() > end:
                    raise
                time.sleep(0.2)

    def judge(self, run: int, told: str, wrong: list[str]) -> None:
        """Does the run end, and does it say of the system what the machine says?"""
        end = time.monotonic() + 60
        while (now := self.patiently("GET", f"runs/{run}"))["state"] != "done":
            if time.monotonic() > end:
                self.count.untrue.append(f"{told}: run {run} is still {now['phase']}")
                return
            time.sleep(0.2)
        result = self.patiently("GET", f"runs/{run}/result")
        if result.get("clean", not wrong) == bool(wrong):
            self.count.untrue.append(
                f"{told}: run {run} says clean: {result.get('clean')}, the machine: {wrong}"
            )
        events = self.patiently("GET", f"runs/{run}/events?limit=1000")["events"]
        self.count.lost += events[-1]["n"] - len(events)
        times = [e["data"]["t"] for e in events if e["kind"] == "interval"]
        width = next((e["data"]["width"] for e in events if e["kind"] == "interval"), 1.0)
        self.count.lost += sum(round((b - a) / width) - 1 for a, b in pairwise(times))

    def close(self) -> None:
        self.board.command.end()
        clear(self.state)
        self.server.end()


def _running(pids: set[int]) -> list[psutil.Process]:
    found = []
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            found.append(psutil.Process(pid))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=int(os.environ.get("ROUNDS") or 200))
    parser.add_argument("--seed", type=int, default=int(os.environ.get("SEED") or time.time()))
    arguments = parser.parse_args()
    print(f"torture: seed {arguments.seed}", flush=True)
    torture = Torture(Path(tempfile.mkdtemp(prefix="torture-")), arguments.seed)
    try:
        for number in range(1, arguments.rounds + 1):
            print(f"{number:>4}  {torture.round()}", flush=True)
    finally:
        torture.close()
        for line in [*torture.count.left, *torture.count.untrue]:
            print(f"      {line}")
        print(torture.count)
    return 1 if torture.count.left or torture.count.untrue or torture.count.lost else 0


if __name__ == "__main__":
    sys.exit(main())
