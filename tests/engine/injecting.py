"""A process that injects one fault, keeps its lease, and is killed at once: what heals must be others."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from engine import undo, warden
from engine.faults import Fault
from engine.state import MARK
from engine.target import Node
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import json, sys, threading, time
from pathlib import Path
from engine import undo, warden
from engine.errors import EngineError
from engine.faults import REGISTRY
from engine.parameters import build
from engine.target import Node
told = json.loads(sys.argv[1])
state, name = Path(told["state"]), told["fault"]
node = Node(told["name"], told["address"], control="process", control_params=told["driver"])
warden.ensure(state)
fault = build(REGISTRY.get(name), told["params"])
def keep(record):
    while True:
        undo.renew(state, record)
        time.sleep(0.2)
try:
    record = undo.prepare(state, "r", "f0", name, fault, node, 600)
    threading.Thread(target=keep, args=(record,), daemon=True).start()
    undo.inject(state, record)
except EngineError as error:
    print(f"error {error}", flush=True)
    sys.exit()
print(record.id, flush=True)
time.sleep(600)
"""


class Injector:
    """`mark` is the id of the record of the fault, once it is active."""

    def __init__(self, state: Path, fault: str, params: dict[str, Any], node: Node, before: Sequence[str]):
        self.state = state
        told = {"state": str(state), "fault": fault, "params": params, "name": node.name,
                "address": node.address, "driver": node.control_params}  # fmt: skip
        self.process = subprocess.Popen(
            [*before, sys.executable, "-c", SCRIPT, json.dumps(told)], stdout=subprocess.PIPE, text=True,
            env={**os.environ, "CHAOSBOARD_STATE": str(state), "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert self.process.stdout
        self.mark = self.process.stdout.readline().strip()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def healed(self) -> undo.UndoRecord:
        """Waits until somebody else has healed it."""
        until(lambda: undo.records(self.state) == [], undo.LEASE + 20)
        found = undo.record_of(self.state, self.mark)
        assert found is not None
        return found

    def actors(self) -> list[int]:
        return marked(self.mark)


@contextmanager
def injecting(
    state: Path, fault: str, params: dict[str, Any], node: Node, before: Sequence[str] = ()
) -> Iterator[Injector]:
    one = Injector(state, fault, params, node, before)
    try:
        yield one
    finally:
        one.kill()
        undo.heal_all(state)
        end_warden(state)


@contextmanager
def injected(state: Path, name: str, fault: Fault, node: Node) -> Iterator[undo.UndoRecord]:
    """The fault, injected by this process, which keeps its lease meanwhile."""
    record = undo.prepare(state, "r", "f0", name, fault, node, 600)
    end = threading.Event()

    def keep() -> None:
        while not end.wait(0.2):
            undo.renew(state, record)

    thread = threading.Thread(target=keep)
    thread.start()
    try:
        yield undo.inject(state, record)
    finally:
        end.set()
        thread.join()


def end_warden(state: Path) -> None:
    for process in psutil.process_iter(["cmdline"]):
        if {"warden", str(state)} <= set(process.info["cmdline"] or []):
            process.terminate()
    until(lambda: not warden.watching(state))


def marked(mark: str) -> list[int]:
    """The pids of what does the harm of the fault."""
    wanted, found = f"{MARK}={mark}".encode(), []
    for pid in psutil.pids():
        try:
            if wanted in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                found.append(pid)
        except OSError:
            continue
    return found
