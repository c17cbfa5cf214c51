"""From the order to halt until every fault is gone: `python -m bench.halt [ROUNDS]`.

Fifty real processes are paused by one run on a real board. Everything is then halted, in turn from a
browser (a click in Chromium), by the API, by `python manage.py halt`, and by that command while the
board's Redis is stopped. The machine itself is read meanwhile: when does each process run again? One
line a way: the median and the 99th percentile over all faults, and the share of rounds in which none
was left. Nobody else publishes such a figure, so there is no peer to run beside it.
"""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from playwright.sync_api import Page, sync_playwright

from chaosboard import ports, processes
from tests.board import ROOT, Board, clear
from tests.waiting import until

FAULTS = 50
BOUND = 1.0  # seconds
LOOK = 0.002  # seconds between two looks at the processes
SERVE = """
import os, socket, sys
for port in map(int, sys.argv[1:]):
    if not os.fork():
        listener = socket.create_server(("127.0.0.1", port))
        while True:
            listener.accept()[0].close()
print("ready", flush=True)
os.wait()
"""


class Victims:
    """FAULTS processes of one parent, each on a port of its own."""

    def __init__(self) -> None:
        self.ports = ports.choose(FAULTS)
        argv = [sys.executable, "-c", SERVE, *map(str, self.ports)]
        self.parent = subprocess.Popen(argv, stdout=subprocess.PIPE)
        assert self.parent.stdout
        self.parent.stdout.readline()
        children = Path(f"/proc/{self.parent.pid}/task/{self.parent.pid}/children").read_text().split()
        self.pids = [int(pid) for pid in children]

    def nodes(self) -> list[dict[str, object]]:
        return [
            {"name": f"n{port}", "address": f"127.0.0.1:{port}", "driver": {"process": {"port": port}}}
            for port in self.ports
        ]

    def stopped(self) -> set[int]:
        return {pid for pid in self.pids if _state(pid) == "T"}

    def end(self) -> None:
        for pid in [*self.pids, self.parent.pid]:
            os.kill(pid, signal.SIGKILL)
        self.parent.wait()


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


class Bench:
    def __init__(self, folder: Path, page: Page) -> None:
        self.page, self.victims = page, Victims()
        self.board = Board(folder / "state")
        self.board.api(
            "POST", "services", {"name": "fifty", "kind": "tcp", "nodes": self.victims.nodes(), "force": True}
        )
        self.experiment = self.board.api("POST", "experiments", {
            "name": "all of them pause", "target": "fifty", "baseline": "500ms",
            "steady_state": [{"probe": "tcp", "every": "1s", "tolerance": {"availability": ">= 1%"}}],
            "faults": [{"at": "0s", "for": "120s", "pause": {"nodes": ["all"]}}],
            "recovery": {"timeout": "2s", "stable": "1s"},
        })["id"]  # fmt: skip
        page.goto(f"{self.board.url}/login/")
        page.get_by_label("Username").fill("admin")
        page.get_by_label("Password").fill(self.board.password)
        page.keyboard.press("Enter")
        page.wait_for_url(f"{self.board.url}/")

    def browser(self) -> Callable[[], object]:
        self.page.goto(f"{self.board.url}/experiments/")
        self.page.get_by_role("button", name="Halt everything").click()
        self.page.get_by_label("Why").fill("a bench")
        return self.page.get_by_role("button", name="Halt and heal now").click

    def api(self) -> Callable[[], object]:
        return lambda: self.board.api("POST", "halt", {"reason": "a bench"})

    def command(self) -> Callable[[], object]:
        argv = [sys.executable, "manage.py", "halt", "--reason", "a bench"]
        environ = {**os.environ, "CHAOSBOARD_STATE": str(self.board.state)}
        return lambda: subprocess.run(argv, cwd=ROOT, env=environ, check=True, capture_output=True)

    def round(self, prepare: Callable[[], Callable[[], object]]) -> list[float]:
        """The seconds from the order until each of the faults was gone."""
        run = self.board.api("POST", f"experiments/{self.experiment}/start")["id"]
        until(lambda: len(self.victims.stopped()) == FAULTS, 90)
        order = prepare()
        gone = dict[int, float]()
        begin = time.monotonic()
        ordering = threading.Thread(target=order) if prepare != self.browser else None
        if ordering:
            ordering.start()
            self.watch(gone, begin)
            ordering.join()
        else:  # playwright stays in its thread, so the watching has one of its own
            watching = threading.Thread(target=self.watch, args=(gone, begin))
            watching.start()
            order()
            watching.join()
        until(lambda: self.board.api("GET", f"runs/{run}")["state"] == "done", 90)
        self.board.api("POST", "resume")
        return [gone.get(pid, float("inf")) for pid in self.victims.pids]

    def watch(self, gone: dict[int, float], begin: float) -> None:
        while len(gone) < FAULTS and time.monotonic() < begin + 30:
            now = time.monotonic()
            gone |= dict.fromkeys(set(self.victims.pids) - self.victims.stopped() - set(gone), now - begin)
            time.sleep(LOOK)

    def command_without_redis(self) -> Callable[[], object]:
        """While it is carried out, Redis neither answers nor dies."""
        (redis,) = [p for p in processes.marked(self.board.state) if processes.part(p) == "redis"]
        order = self.command()

        def ordered() -> None:
            redis.suspend()
            try:
                order()
            finally:
                redis.resume()

        return ordered

    def close(self) -> None:
        self.board.command.end()
        clear(self.board.state)
        self.victims.end()


def main(rounds: int) -> int:
    worst = 0.0
    with sync_playwright() as playwright, tempfile.TemporaryDirectory(prefix="halt-") as folder:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        bench = Bench(Path(folder), chromium.new_page())
        try:
            ways = {
                "browser": bench.browser, "api": bench.api, "command": bench.command,
                "command, Redis stopped": bench.command_without_redis,
            }  # fmt: skip
            for name, way in ways.items():
                worst = max(worst, told(name, [bench.round(way) for _ in range(rounds)]))
        finally:
            bench.close()
            chromium.close()
    print(f"halt: {'within' if worst < BOUND else 'NOT within'} {BOUND:g} s at the 99th percentile")
    return 0 if worst < BOUND else 1


def told(name: str, rounds: list[list[float]]) -> float:
    """Prints one line; returns its 99th percentile in seconds."""
    every = np.array(rounds).ravel()
    p50, p99 = np.percentile(every, [50, 99])
    whole = sum(np.isfinite(one).all() for one in rounds)
    print(
        f"halt by {name}: ours p50 {p50 * 1e3:.0f} ms, p99 {p99 * 1e3:.0f} ms, most {every.max() * 1e3:.0f} ms "
        f"over {len(every)} faults, {whole} of {len(rounds)} rounds left nothing, peer none",
        flush=True,
    )
    return float(p99)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10))
