"""Kills chaosboard's own parts while faults are active, then reads the machine: `python -m tests.torture`.

Each round starts a random fault on a random real system and, at a random instant, kills (SIGKILL) one or
two of the board's parts, the target itself (of a lab its switch), or everything at once. After lease + 5 s it
reads the machine (process states and limits, control groups, mounts, files, stress processes, links, members),
never chaosboard's records, and counts what is left of the fault; then whether the run came to an end that tells
the truth, and whether an event of it is missing.
"""

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import psutil

from chaosboard import processes
from engine.undo import LEASE
from tests import victims
from tests.apart import go_apart
from tests.board import Board, Command, clear
from tests.machine import traces
from tests.victims import Victim
from tests.waiting import until

PARTS = ("worker-runs", "worker-control", "beat", "web", "redis", "warden", "links")
LASTS = 4.0  # seconds of a fault
AFTER = 5.0  # seconds beyond the lease in which everything must be healed


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
    """`only` names the victims; a fault that the machine cannot do is left out, and told."""

    def __init__(self, folder: Path, seed: int, only: Sequence[str] = ()) -> None:
        self.dice, self.count, self.folder = random.Random(seed), Count(), folder
        self.state = folder / "state"
        self.board = Board(self.state)
        self.victims = victims.chosen(folder, only)
        self.experiments: dict[tuple[Victim, str], int] = {}
        for victim in self.victims:
            self.board.api("POST", "services", victim.service())
            for name, params in victim.faults.items():
                self.add(victim, name, params)

    def add(self, victim: Victim, name: str, params: dict[str, Any]) -> None:
        try:
            made = self.board.api("POST", "experiments", self.document(victim, name, params))
        except AssertionError as error:
            print(f"      left out: {name} on {victim.name}: {error}", flush=True)
            return
        self.experiments[victim, name] = made["id"]

    def document(self, victim: Victim, name: str, params: dict[str, Any]) -> dict[str, Any]:
        return {
            "name": f"{name} on {victim.name}",
            "target": victim.name,
            "steady_state": [{"probe": victim.kind, "every": "100ms", "timeout": "500ms",
                              "tolerance": {"availability": ">= 90%"}}],
            "baseline": "500ms",
            "faults": [{"at": "0s", "for": f"{LASTS}s", name.split()[0]: {"nodes": ["one"], **params}}],
            "recovery": {"timeout": "8s", "stable": "500ms"},
        }  # fmt: skip

    def round(self) -> str:
        """One round; what was done, in words."""
        victim, fault = self.dice.choice(list(self.experiments))
        run = self.patiently("POST", f"experiments/{self.experiments[victim, fault]}/start")["id"]
        self.wait_for_the_fault(run)
        wait = self.dice.uniform(0.0, LASTS + 1.0)
        time.sleep(wait)  # the random instant
        killed = self.choose()
        for one in killed:
            self.kill(one, victim)
        at = time.monotonic()
        if "the target" in killed:
            self.look_after(victim, at)
        self.revive(killed)
        time.sleep(max(0.0, at + max(LASTS - wait, 0.0) + LEASE + AFTER - time.monotonic()))
        wrong = self.wrong()
        self.count.rounds += 1
        told = f"{fault} on {victim.name}, {wait:.1f} s, {' and '.join(killed)} killed"
        for one in wrong:
            self.count.left.append(one)
            print(f"      left behind: {one}", flush=True)
        self.judge(run, told, wrong)
        self.mend(wrong)
        return told

    def wrong(self) -> list[str]:
        """Of all victims, not only the one that was hurt: and of the machine."""
        folders = [victim.folder for victim in self.victims if isinstance(victim, victims.Single)]
        return [w for victim in self.victims for w in victim.wrong(self.state)] + traces(self.state, folders)

    def mend(self, wrong: list[str]) -> None:
        """What is left behind is counted once, and not again in every round that follows."""
        for victim in self.victims if wrong else ():
            victim.end()
            victim.look_after()

    def choose(self) -> list[str]:
        if self.dice.random() < 0.1:
            return ["everything"]
        return self.dice.sample([*PARTS, "the target"], self.dice.choice((1, 1, 2)))

    def wait_for_the_fault(self, run: int) -> None:
        def begun() -> bool:
            now = self.patiently("GET", f"runs/{run}")
            return now["phase"] in ("fault", "recovery", "judging", "done") or now["state"] == "done"

        until(begun, 60)

    def kill(self, one: str, victim: Victim) -> None:
        if one == "the target":
            victim.end()
            return
        if one == "everything":
            self.board.command.process.kill()
            self.board.command.process.wait()
        for process in processes.marked(self.state):
            if one in ("everything", processes.part(process)):
                with suppress(psutil.NoSuchProcess):
                    process.kill()

    def look_after(self, victim: Victim, killed: float) -> None:
        """As its own supervisor would: it is started again, unless the healing has done it."""
        time.sleep(max(0.0, killed + LASTS + LEASE + 1.0 - time.monotonic()))
        victim.look_after()

    def revive(self, killed: list[str]) -> None:
        if "everything" in killed:
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
                self.untrue(f"run {run} is still {now['phase']}")
                return
            time.sleep(0.2)
        result = self.patiently("GET", f"runs/{run}/result")
        if any(fault["state"] == "unverified" for fault in result.get("faults", ())):
            self.acknowledge(told)  # it is said that nobody knows, which is true
        elif result.get("clean", not wrong) == bool(wrong):
            self.untrue(f"run {run} says clean: {result.get('clean')}, the machine: {wrong}")
        events = self.patiently("GET", f"runs/{run}/events?limit=1000")["events"]
        self.count.lost += events[-1]["n"] - len(events)
        times = [e["data"]["t"] for e in events if e["kind"] == "interval"]
        width = next((e["data"]["width"] for e in events if e["kind"] == "interval"), 1.0)
        self.count.lost += sum(round((b - a) / width) - 1 for a, b in pairwise(times))

    def untrue(self, text: str) -> None:
        self.count.untrue.append(text)
        print(f"      untrue: {text}", flush=True)

    def acknowledge(self, told: str) -> None:
        """As a person would who has looked: what was read of the machine is counted by `round`."""
        for hurt in self.patiently("GET", "hurt")["hurt"]:
            print(f"      not verified, and told so: {told}: {hurt['text']}", flush=True)
            if hurt["state"] in ("unverified", "stuck"):
                self.patiently("POST", f"hurt/{hurt['record']}/acknowledge")

    def close(self) -> None:
        self.board.command.end()
        clear(self.state)
        for victim in self.victims:
            victim.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=int(os.environ.get("ROUNDS") or 200))
    parser.add_argument("--seed", type=int, default=int(os.environ.get("SEED") or time.time()))
    parser.add_argument("--only", nargs="*", default=(), help="of web, store, cluster, linked, switch, rules")
    parser.add_argument(
        "--without-root", action="store_true", help="in a user namespace, also where we are root"
    )
    arguments = parser.parse_args()
    again = (sys.executable, "-m", "tests.torture", *sys.argv[1:])
    if why := go_apart(*again, without_root=arguments.without_root):
        print(f"torture: on loopback, without the victims switch and rules. {why}", flush=True)
    print(f"torture: seed {arguments.seed}", flush=True)
    torture = Torture(Path(tempfile.mkdtemp(prefix="torture-")), arguments.seed, arguments.only)
    try:
        for number in range(1, arguments.rounds + 1):
            print(f"{number:>4}  {torture.round()}", flush=True)
    finally:
        torture.close()
        print(torture.count)
    return 1 if torture.count.left or torture.count.untrue or torture.count.lost else 0


if __name__ == "__main__":
    sys.exit(main())
