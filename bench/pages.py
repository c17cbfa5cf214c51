"""What the pages of a board weigh: `python -m bench.pages`.

A real board, with ten services, and with the rows of a run of 10,000,000 operations made directly: an hour
in intervals as wide as the engine makes them, and the result that such a run leaves. Each page is opened in Chromium by somebody
who has never been there: bytes over the wire and requests, DOMContentLoaded, and the time until nothing
loads any more and the main thread has been idle for a frame. The peer is the budget of Lighthouse's own
defaults for what a page may weigh (1.6 MB) and be interactive in (3.8 s).
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

from tests.board import Board, clear
from tests.whole.conftest import FLAGS, log_in

PAGES = {
    "home": "/", "map": "/map/", "services": "/services/", "a service": "/services/1/", "experiments": "/experiments/",
    "editor": "/experiments/add/", "faults": "/experiments/faults/", "schedules": "/schedules/", "runs": "/runs/",
    "hurt": "/hurt/", "halt": "/halt/", "histories": "/histories/", "account": "/account/",
    "run of 10,000,000 operations": "/runs/1/", "its report": "/runs/1/report/",
}  # fmt: skip
WEIGHT, REQUESTS, READY = 2_000_000, 40, 3800.0  # bytes, requests, ms
SERVED = 1.0  # seconds in which the page of the large run must come from the server
HEAVY = 1_600_000  # Lighthouse: what it calls an enormous payload
IDLE = """() => new Promise((done) => requestAnimationFrame(() => setTimeout(() => {
  const [entry] = performance.getEntriesByType('navigation')
  done([entry.domContentLoadedEventEnd, performance.now(), entry.responseEnd - entry.requestStart])
}, 0)))"""


class Load(NamedTuple):
    weight: int
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
            over += report(name, found, large="10,000,000" in name)
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
    page.goto(address, wait_until="load", timeout=120_000)
    loaded, ready, answered = page.evaluate(IDLE)
    session.detach()
    return Load(int(sum(sizes.values())), len(sizes), loaded, ready, answered)


def report(name: str, found: Load, *, large: bool) -> list[str]:
    print(f"page {name}: ours {found.weight / 1e6:.2f} MB in {found.requests} requests, DOMContentLoaded "
          f"{found.loaded:.0f} ms, interactive {found.ready:.0f} ms, peer Lighthouse's budget {HEAVY / 1e6:.1f} MB, "
          f"ratio {found.weight / HEAVY:.2f}")  # fmt: skip
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


def served(board: Board) -> list[str]:
    """The page of the large run, from the server alone: the best of five, as others share this machine."""
    took, weight = [], 0
    for _ in range(5):
        began = time.perf_counter()
        weight = len(board.client.get("/runs/1/").content)
        took.append(time.perf_counter() - began)
    print(f"the page of 10,000,000 operations: served in {min(took) * 1e3:.0f} ms at best, {max(took) * 1e3:.0f} ms "
          f"at worst, {weight / 1e6:.2f} MB before compression")  # fmt: skip
    problems = {
        f"the run's page is served in {min(took):.2f} s": min(took) > SERVED,
        f"the run's page has {weight / 1e6:.2f} MB": weight > WEIGHT,
    }
    return [problem for problem, is_over in problems.items() if is_over]


if __name__ == "__main__":
    sys.exit(main())
