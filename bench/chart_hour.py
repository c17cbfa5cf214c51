"""The page of a run after an hour at ten intervals a second: `python -m bench.chart_hour [SECONDS]`.

36,000 intervals of ten traces are put into the page's own ledger faster than they would come; then the last
minute comes live, ten a second, through a web socket that this bench serves in the page's place of the board's.
Counted are the frames that Chromium draws meanwhile, and its memory before and after, each after its rubbish
was collected. Nobody else publishes such a figure; the bound is 30 frames a second with flat memory.
"""

import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import CDPSession, Page, WebSocketRoute, expect, sync_playwright

from tests.board import Board, clear
from tests.whole.conftest import FLAGS, log_in

SECONDS, HOUR, WIDTH, FRAMES, GROWN = 60, 36_000, 0.1, 30.0, 1.10
POINTS = 1000
COUNT = """
window.frames_seen = 0; window.slowest = 0; let last = performance.now()
const count = (now) => {
  window.frames_seen++
  window.slowest = Math.max(window.slowest, now - last)
  last = now
  requestAnimationFrame(count)
}
requestAnimationFrame(count)
"""


def interval(n: int) -> dict[str, Any]:
    """Three nodes, two probes, a load, errors now and then, a replica that is behind: ten lines and more."""
    slow = 0.002 + 0.001 * ((n * 7919) % 13)
    probe = {
        "good": 29 if n % 97 == 0 else 30,
        "total": 30,
        "p50": 0.0004 * (1 + n % 3),
        "p99": slow,
        "max": slow,
    }
    shares = {"n1": 20, "n2": 20 + n % 5, "n3": 10}
    ops = {"ok": 50 - n % 4, "fail": n % 4, "info": 0, "p50": 0.002, "p99": slow, "shares": shares}
    data = {
        "t": round(n * WIDTH, 6), "width": WIDTH, "probes": {"etcd": probe, "http": probe},
        "nodes": {name: {"good": 10, "total": 10} for name in ("n1", "n2", "n3")}, "ops": ops,
        "heat": [4, 10 + n % 7, 5, 30, 6, 8, 8 + n % 4, 2], "lag": {"n2": 100 * (n % 50), "n3": 64},
    }  # fmt: skip
    return {**data, "errors": {"connection refused: …": n % 4, "no answer within 1 s": 1}} if n % 4 else data


def event(number: int, n: int) -> dict[str, Any]:
    return {"n": number, "at": n * WIDTH, "kind": "interval", "data": interval(n)}


def beginning() -> list[dict[str, Any]]:
    plan = {
        "duration": HOUR * WIDTH + 120,
        "steps": [],
        "phases": [{"name": "baseline", "start": 0, "end": HOUR * WIDTH}],
    }
    run = {"name": "an hour", "target": "t", "kind": "etcd", "width": WIDTH, "plan": plan, "nodes": ["n1", "n2", "n3"],
           "probes": [], "workload": {"name": "register", "line": "register"}}  # fmt: skip
    return [
        {"n": 1, "at": 0.0, "kind": "run", "data": run},
        {"n": 2, "at": 0.0, "kind": "phase", "data": {"phase": "baseline", "text": ""}},
    ]


class Feed:
    """Serves the page's socket: first the hour in large messages, then whatever `tick` sends."""

    def __init__(self) -> None:
        self.socket: WebSocketRoute | None = None
        self.last = 0

    def take(self, socket: WebSocketRoute) -> None:
        self.socket = socket

    def send(self, events: list[dict[str, Any]]) -> None:
        assert self.socket
        self.last = events[-1]["n"]
        self.socket.send(json.dumps({"run": 1, "watching": 1, "events": events}))

    def hour(self) -> None:
        self.send(beginning())
        for first in range(0, HOUR, 1000):
            self.send([event(self.last + 1 + i, first + i) for i in range(1000)])


def heap(devtools: CDPSession) -> float:
    """MB that are held after the rubbish was collected."""
    devtools.send("HeapProfiler.collectGarbage")
    return float(devtools.send("Runtime.getHeapUsage")["usedSize"]) / 1e6


def measure(page: Page, feed: Feed, seconds: int) -> dict[str, float]:
    devtools = page.context.new_cdp_session(page)
    feed.hour()
    expect(page.locator("#charts")).to_have_attribute("data-drawn", str(feed.last), timeout=120_000)
    _live(page, feed, HOUR, 50)  # everything has been drawn and thinned a few times
    before = heap(devtools)
    page.evaluate("window.frames_seen = 0; window.slowest = 0")
    begun = time.monotonic()
    _live(page, feed, HOUR + 50, round(seconds / WIDTH))
    passed = time.monotonic() - begun
    frames, slowest = page.evaluate("[window.frames_seen, window.slowest]")
    points = page.evaluate(
        "Math.max(...[...document.querySelectorAll('.chart')].flatMap((d) => (d.data ?? []).map((t) => t.x?.length ?? 0)))"
    )
    traces = page.evaluate(
        "[...document.querySelectorAll('.chart')].reduce((n, d) => n + (d.data ?? []).filter((t) => t.x?.length > 5).length, 0)"
    )
    return {
        "frames": frames / passed, "slowest": slowest, "before": before, "after": heap(devtools),
        "points": points, "traces": traces,
    }  # fmt: skip


def _live(page: Page, feed: Feed, first: int, count: int) -> None:
    """Ten a second, on absolute times."""
    begun = time.monotonic()
    for i in range(count):
        page.wait_for_timeout(max(0.0, (begun + i * WIDTH - time.monotonic()) * 1e3))
        feed.send([event(feed.last + 1, first + i)])


def queued(board: Board) -> int:
    """A run whose page there is, and of which the board itself tells nothing: it ended before it began."""
    nodes = [{"name": "n1", "address": "127.0.0.1:1", "driver": {"memory": {}}}]
    board.api("POST", "services", {"name": "sim", "kind": "memory", "nodes": nodes, "force": True})
    steady = [{"probe": "memory", "tolerance": {"availability": ">= 1%"}}]
    made = board.api("POST", "experiments", {
        "name": "an hour", "target": "sim", "steady_state": steady, "baseline": "1s", "faults": [],
    })  # fmt: skip
    return int(board.api("POST", f"experiments/{made['id']}/start")["id"])


EMPTY = """
new MutationObserver(() => {
  const data = document.getElementById('run-data')
  if (!data || data.dataset.emptied) return
  const page = JSON.parse(data.textContent)
  data.dataset.emptied = '1'
  data.textContent = JSON.stringify({ ...page, events: [], last: 0, run: { ...page.run, state: 'running' } })
}).observe(document, { childList: true, subtree: true })
"""


def main(seconds: int) -> int:
    folder = Path(tempfile.mkdtemp(prefix="chaosboard-hour-"))
    feed = Feed()
    try:
        board = Board(folder / "state")
        with sync_playwright() as playwright:
            path = shutil.which("chromium")
            assert path, "chromium is missing: apt-get install chromium"
            page = playwright.chromium.launch(executable_path=path, args=FLAGS).new_page(
                viewport={"width": 1440, "height": 900}
            )
            log_in(page, board)
            run = queued(board)
            page.add_init_script(COUNT + EMPTY)
            page.route_web_socket("**/ws/runs/**", feed.take)
            page.goto(f"{board.url}/runs/{run}/", wait_until="commit")
            expect(page.locator("body")).to_have_attribute("data-connection", "live", timeout=60_000)
            found = measure(page, feed, seconds)
        board.command.end()
    finally:
        clear(folder / "state")
        shutil.rmtree(folder, ignore_errors=True)
    return tell(found, seconds)


def tell(found: dict[str, float], seconds: int) -> int:
    held = found["frames"] > FRAMES and found["points"] <= POINTS and found["after"] < found["before"] * GROWN
    print(f"a run page after {HOUR:,} intervals, {seconds} s live at ten a second: ours {found['frames']:.0f} frames a "
          f"second with {found['traces']:.0f} traces (slowest frame {found['slowest']:.0f} ms), memory {found['before']:.1f} -> "
          f"{found['after']:.1f} MB, at most {found['points']:.0f} points a trace, bound {FRAMES:.0f} "
          f"(load {os.getloadavg()[0]:.1f})")  # fmt: skip
    print(f"chart_hour: {'held' if held else 'NOT held'}")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else SECONDS))
