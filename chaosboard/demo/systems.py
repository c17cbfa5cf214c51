"""The demo as the supervisor sees it: systems started in the background, then the experiments."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path

import psutil

from chaosboard import processes
from engine.lab import CannotRun
from engine.lab.cluster import Cluster
from engine.lab.systems import REGISTRY
from engine.state import PART

PORTS = {
    "etcd": (23791, 23792, 23793, 23801, 23802, 23803),
    "valkey": (23611, 23612, 23613, 23621, 23622, 23623),
}


class Demo:
    def __init__(self, state: Path, home: Path, url: str, say: Callable[[str], None]) -> None:
        self.state, self.home, self.url, self.say = state, home, url, say
        self.systems = [_system(name, state) for name in PORTS]
        self.began = time.time()
        self._starting: dict[Future[None], Cluster] = {}
        self._started: list[Cluster] = []
        self._experiments: subprocess.Popen[bytes] | None = None

    def start_systems(self) -> None:
        pool = ThreadPoolExecutor(len(self.systems), "demo")
        for system in self.systems:
            self._starting[pool.submit(system.start)] = system
        pool.shutdown(wait=False)

    def systems_started(self) -> bool:
        return not self._starting

    def look(self) -> None:
        """Says of each system that it serves, or why it does not."""
        for future in [f for f in self._starting if f.done()]:
            system = self._starting.pop(future)
            try:
                future.result()
            except (CannotRun, OSError) as error:
                self.say(f"  {error}; the demo goes on without it")
                system.stop()
            else:
                self._started.append(system)
                where = ", ".join(f"{node.name} {node.address}" for node in system.nodes)
                self.say(f"  {system.name:<16}up: {where}")

    def start_experiments(self) -> None:
        if not self._started:
            self.say("No demo system runs on this machine; the board is up all the same.")
            return
        file = self.state / "demo" / "systems.json"
        found = {system.name: system.documents() for system in self.systems if system in self._started}
        file.write_text(json.dumps(found, indent=1))
        self._experiments = processes.launch(
            [sys.executable, "-m", "chaosboard.demo", str(file), self.url, str(self.began)],
            state=self.state,
            log=None,
            cwd=self.home,
            extra={PART: "demo", "CHAOSBOARD_STATE": str(self.state), "PYTHONUNBUFFERED": "1"},
        )

    def stop_experiments(self) -> None:
        if self._experiments and self._experiments.poll() is None:
            with suppress(psutil.NoSuchProcess):
                processes.stop([psutil.Process(self._experiments.pid)], grace=1)

    def stop_systems(self) -> None:
        wait(self._starting, timeout=35)
        for system in self.systems:
            system.stop()


def _system(name: str, state: Path) -> Cluster:
    return Cluster(
        REGISTRY.get(name)(), state / "demo" / name, state,
        name=f"{name} demo", environment="demo", preferred=PORTS[name],
    )  # fmt: skip
