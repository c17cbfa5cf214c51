"""The page of a run after an hour at ten intervals a second: `python -m bench.chart_hour`.

36,000 intervals are put into the page's own ledger faster than they would come; then 500 more come live, ten a
second, through a web socket that this bench serves in the place of the board's. Counted are the frames that
Chromium draws meanwhile, and its memory before and after, each after its rubbish was collected. The page thins
what is old each 500 intervals, so both are at the same point of that; what Chromium compiles as it goes is not
counted. All of it with ten traces, and with everything that such a page can show. Nobody else
publishes such a figure; the bound is 30 frames a second with flat memory.
"""

import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import CDPSession, Page, WebSocketRoute, expect, sync_playwright

from tests.board import Board, clear
from tests.whole.conftest import FLAGS, log_in

HOUR, WIDTH, FRAMES, GROWN = 36_000, 0.1, 30.0, 1.10
PERIOD = (
    500  # intervals from one thinning of the page to the next: half of what it holds, see static/js/series.js
)
POINTS = 1000
PAGES = {"ten traces": True, "everything": False}
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
TRACES = """() => {
  const lengths = [...document.querySelectorAll('.chart')].flatMap((div) => (div.data ?? []).map((trace) => trace.x?.length ?? 0))
  return [Math.max(...lengths), lengths.filter((length) => length > 5).length]
}"""


def interval(n: int, few: bool) -> dict[str, Any]:
    """Three nodes and a load; two probes, errors now and then and a replica that is behind, unless `few`."""
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
    if few:
        return {**data, "probes": {"etcd": probe}, "lag": {}}
    return {**data, "errors": {"connection refused: …": n % 4, "no answer within 1 s": 1}} if n % 4 else data


def event(number: int, n: int, few: bool) -> dict[str, Any]:
    return {"n": number, "at": n * WIDTH, "kind": "interval", "data": interval(n, few)}


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

    def __init__(self, few: bool) -> None:
        self.few = few
        self.socket: WebSocketRoute | None = None
        self.last = 0  # the number of the last event
        self.next = 0  # that of the next interval

    def take(self, socket: WebSocketRoute) -> None:
        self.socket = socket

    def send(self, events: list[dict[str, Any]]) -> None:
        assert self.socket
        self.last = events[-1]["n"]
        self.socket.send(json.dumps({"run": 1, "watching": 1, "events": events}))

    def tell(self, count: int) -> None:
        """The next `count` intervals, in one message."""
        self.send([event(self.last + 1 + i, self.next + i, self.few) for i in range(count)])
        self.next += count

    def hour(self) -> None:
        self.send(beginning())
        for _ in range(0, HOUR, 1000):
            self.tell(1000)


def heap(devtools: CDPSession) -> float:
    """MB of objects that are held after the rubbish was collected, without what Chromium has compiled."""
    chunks: list[str] = []
    keep = lambda event: chunks.append(event["chunk"])  # noqa: E731  the same one is taken off again
    devtools.send("HeapProfiler.collectGarbage")
    devtools.on("HeapProfiler.addHeapSnapshotChunk", keep)
    devtools.send("HeapProfiler.takeHeapSnapshot")
    devtools.remove_listener("HeapProfiler.addHeapSnapshotChunk", keep)
    told = json.loads("".join(chunks))
    fields, kinds = told["snapshot"]["meta"]["node_fields"], told["snapshot"]["meta"]["node_types"][0]
    nodes = np.array(told["nodes"]).reshape(-1, len(fields))
    mine = nodes[:, fields.index("type")] != kinds.index("code")
    return float(nodes[mine, fields.index("self_size")].sum()) / 1e6


def measure(page: Page, feed: Feed) -> dict[str, float]:
    devtools = page.context.new_cdp_session(page)
    feed.hour()
    expect(page.locator("#charts")).to_have_attribute("data-drawn", str(feed.last), timeout=120_000)
    for _ in range(PERIOD // 5):
        feed.tell(5)
        page.wait_for_timeout(100)
    before = heap(devtools)
    page.evaluate("window.frames_seen = 0; window.slowest = 0")
    begun = time.monotonic()
    for i in range(PERIOD):  # on absolute times
        page.wait_for_timeout(max(0.0, (begun + i * WIDTH - time.monotonic()) * 1e3))
        feed.tell(1)
    passed = time.monotonic() - begun
    frames, slowest = page.evaluate("[window.frames_seen, window.slowest]")
    points, traces = page.evaluate(TRACES)
    return {
        "frames": frames / passed, "slowest": slowest, "before": before, "after": heap(devtools),
        "points": points, "traces": traces,
    }  # fmt: skip


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


def main() -> int:
    folder = Path(tempfile.mkdtemp(prefix="chaosboard-hour-"))
    try:
        board = Board(folder / "state")
        run = queued(board)
        found = {name: watched(board, run, Feed(few)) for name, few in PAGES.items()}
        board.command.end()
    finally:
        clear(folder / "state")
        shutil.rmtree(folder, ignore_errors=True)
    held = [tell(name, one) for name, one in found.items()]
    return 0 if all(held) else 1


def watched(board: Board, run: int, feed: Feed) -> dict[str, float]:
    with sync_playwright() as playwright:
        path = shutil.which("chromium")
        assert path, "chromium is missing: apt-get install chromium"
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        log_in(page, board)
        page.add_init_script(COUNT + EMPTY)
        page.route_web_socket("**/ws/runs/**", feed.take)
        page.goto(f"{board.url}/runs/{run}/", wait_until="commit")
        expect(page.locator("body")).to_have_attribute("data-connection", "live", timeout=60_000)
        found = measure(page, feed)
        browser.close()
    return found


def tell(name: str, found: dict[str, float]) -> bool:
    held = found["frames"] > FRAMES and found["points"] <= POINTS and found["after"] < found["before"] * GROWN
    print(f"a run page after {HOUR:,} intervals, ten a second, {name}: ours {found['frames']:.0f} frames a second with "
          f"{found['traces']:.0f} traces (slowest frame {found['slowest']:.0f} ms), memory {found['before']:.1f} -> "
          f"{found['after']:.1f} MB, at most {found['points']:.0f} points a trace, bound {FRAMES:.0f} "
          f"(load {os.getloadavg()[0]:.1f}): {'held' if held else 'NOT held'}")  # fmt: skip
    return held


if __name__ == "__main__":
    sys.exit(main())
