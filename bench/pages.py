"""What the pages of a board weigh: `python -m bench.pages`.

A real board, with ten services, and with the rows of a run of 10,000,000 operations made directly: an hour
in intervals as wide as the engine makes them, hurt each minute, and the result that such a run leaves. Each
page is opened in Chromium by somebody who has never been there: bytes over the wire (pages and the large
scripts go packed, as Chromium asks for them; what they are unpacked is told beside it), requests,
DOMContentLoaded, and the time until nothing loads any more and the main thread has been idle for a frame.
Then the slowest looks and the worst delays of the large run's intervals are looked for in what is drawn.
The peer is the budget of Lighthouse's own defaults for what a page may weigh (1.6 MB) and be interactive
in (3.8 s).
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from playwright.sync_api import Page, sync_playwright

from bench._large_run import SLOW
from tests.board import Board, clear
from tests.whole.conftest import FLAGS, log_in

PAGES = {
    "home": "/", "map": "/map/", "services": "/services/", "a service": "/services/1/", "experiments": "/experiments/",
    "editor": "/experiments/add/", "faults": "/experiments/faults/", "schedules": "/schedules/", "runs": "/runs/",
    "hurt": "/hurt/", "halt": "/halt/", "histories": "/histories/", "account": "/account/",
    "run of 10,000,000 operations": "/runs/1/", "its report": "/runs/1/report/",
}  # fmt: skip
LARGE = ("/runs/1/", "/runs/1/report/")  # of 10,000,000 operations
WEIGHT, REQUESTS, READY = 2_000_000, 40, 3800.0  # bytes over the wire, requests, ms
SERVED = 1.0  # seconds in which a page of the large run must come from the server
HEAVY = 1_600_000  # Lighthouse: what it calls an enormous payload
IDLE = """() => new Promise((done) => requestAnimationFrame(() => setTimeout(() => {
  const [entry] = performance.getEntriesByType('navigation')
  done([entry.domContentLoadedEventEnd, performance.now(), entry.responseEnd - entry.requestStart])
}, 0)))"""


class Load(NamedTuple):
    weight: int
    unpacked: int
    requests: int
    loaded: float
    ready: float
    served: float


def main() -> int:
    folder = Path(tempfile.mkdtemp(prefix="chaosboard-pages-"))
    state = folder / "state"
    try:
        over = measure(state)
    finally:
        clear(state)
        shutil.rmtree(folder, ignore_errors=True)
    print(f"pages: {'within their budgets' if not over else 'OVER budget: ' + '; '.join(over)} "
          f"(load {os.getloadavg()[0]:.1f})")  # fmt: skip
    return 1 if over else 0


def measure(state: Path) -> list[str]:
    """The budgets that were exceeded, in words."""
    board = Board(state)
    environ = {**os.environ, "CHAOSBOARD_STATE": str(state), "DJANGO_SETTINGS_MODULE": "chaosboard.settings"}
    subprocess.run([sys.executable, "-m", "bench._large_run"], env=environ, check=True)
    over: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        log_in(page, board)
        for name, path in PAGES.items():
            found = load(page, board.url + path)
            over += report(name, found)
            over += peaks(page, name) if path in LARGE else []
        browser.close()
    over += served(board)
    board.command.end()
    return over


def load(page: Page, address: str) -> Load:
    """Opens a page with an empty cache."""
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.send("Network.setCacheDisabled", {"cacheDisabled": True})
    sizes: dict[str, float] = {}
    session.on("Network.loadingFinished", lambda e: sizes.update({e["requestId"]: e["encodedDataLength"]}))
    unpacked: dict[str, int] = {}
    session.on("Network.dataReceived", lambda e: unpacked.update(
        {e["requestId"]: unpacked.get(e["requestId"], 0) + e["dataLength"]}
    ))  # fmt: skip
    answer = page.goto(address, wait_until="load", timeout=120_000)
    assert answer
    assert answer.ok, f"{address}: {answer.status}"
    loaded, ready, answered = page.evaluate(IDLE)
    session.detach()
    return Load(int(sum(sizes.values())), sum(unpacked.values()), len(sizes), loaded, ready, answered)


def report(name: str, found: Load) -> list[str]:
    print(f"page {name}: ours {found.weight / 1e6:.2f} MB ({found.unpacked / 1e6:.2f} unpacked) in {found.requests} requests, "
          f"DOMContentLoaded {found.loaded:.0f} ms, interactive {found.ready:.0f} ms, "
          f"peer Lighthouse's budget {HEAVY / 1e6:.1f} MB, ratio {found.weight / HEAVY:.2f}")  # fmt: skip
    over = [
        f"{name} {what}"
        for what, is_over in {
            f"weighs {found.weight / 1e6:.2f} MB": found.weight > WEIGHT,
            f"makes {found.requests} requests": found.requests > REQUESTS,
            f"is interactive after {found.ready:.0f} ms": found.ready > READY,
        }.items()
        if is_over
    ]
    return over


def peaks(page: Page, name: str) -> list[str]:
    """Whether all that stands out in the large run's intervals stands out in its charts: each slow look."""
    page.wait_for_function("document.getElementById('chart-latency')?.data")
    drawn = page.evaluate(
        "document.getElementById('chart-latency').data.find((trace) => trace.name === 'p99').y.filter((y) => y >= 499).length"
    )
    print(f"  {name}: {drawn} of {SLOW} peaks drawn")
    return [f"{name} draws {drawn} of {SLOW} peaks"] if drawn != SLOW else []


def served(board: Board) -> list[str]:
    """The pages of the large run, from the server alone, packed and sent: the best of five."""
    return [problem for path in LARGE for problem in _served(board, path)]


def _served(board: Board, path: str) -> list[str]:
    took, answer = [], board.client.get(path)
    for _ in range(5):
        began = time.perf_counter()
        answer = board.client.get(path)
        took.append(time.perf_counter() - began)
    assert answer.status_code == 200
    assert answer.headers["Content-Encoding"] == "gzip"
    print(f"{path} of 10,000,000 operations: served in {min(took) * 1e3:.0f} ms at best, {max(took) * 1e3:.0f} ms at "
          f"worst, {answer.num_bytes_downloaded / 1e6:.2f} MB, unpacked {len(answer.content) / 1e6:.2f} MB")  # fmt: skip
    return [f"{path} is served in {min(took):.2f} s"] if min(took) > SERVED else []


if __name__ == "__main__":
    sys.exit(main())
