"""A run page goes on without a gap when its socket, the web server, Redis or the page itself was gone meanwhile."""

import os
import signal
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from chaosboard import processes
from tests.board import Board
from tests.waiting import until
from tests.whole.conftest import last_event, log_in

pytestmark = [pytest.mark.browser, pytest.mark.systems]


def kill(board: Board, part: str) -> None:
    """kill -9, and wait until the supervisor has brought it back."""
    (process,) = [p for p in processes.marked(board.state) if processes.part(p) == part]
    came_up = board.command.printed().count(f"  {part} ")
    os.kill(process.pid, signal.SIGKILL)
    until(lambda: board.command.printed().count(f"  {part} ") >= came_up + 2)  # that it died, that it is up


DRAWN = """() => ({
  log: [...document.querySelectorAll('#events li')].map((row) => [row.dataset.n, row.textContent]),
  facts: document.getElementById('facts').textContent,
  traces: Object.fromEntries([...document.querySelectorAll('.chart')].map((chart) => [chart.id, chart.data.map(
    ({ name, x, y, z, base, text, customdata }) => JSON.stringify({ name, x, y, z, base, text, customdata }))])),
})"""
KEEP_TOLD = """
window.told = []
window.sockets = []
window.WebSocket = class extends window.WebSocket {
  constructor(...address) { super(...address); window.sockets.push(this) }
}
document.addEventListener('DOMContentLoaded', () => {
  const place = document.getElementById('connection')
  if (place) new MutationObserver(() => window.told.push(place.textContent)).observe(place, { childList: true })
})
"""


def drawn(page: Page) -> dict[str, Any]:
    """Every point of every trace, and every line of the log."""
    found: dict[str, Any] = page.evaluate(DRAWN)
    return found


def opened(page: Page, board: Board, address: str) -> Page:
    """Somebody else's page, in which every chart is in sight, and so drawn."""
    browser = page.context.browser
    assert browser
    another = browser.new_page(viewport={"width": 1440, "height": 2400})
    log_in(another, board)
    another.goto(address)
    return another


def told_of(page: Page) -> str:
    """All that the page has said of its connection."""
    return " | ".join(page.evaluate("window.told"))


@pytest.mark.torn_sockets
def test_no_event_is_missed_and_none_comes_twice(board: Board, page: Page) -> None:
    nodes = [{"name": f"n{i}", "address": f"127.0.0.1:{i}", "driver": {"memory": {}}} for i in (1, 2, 3)]
    board.api("POST", "services", {"name": "simulated", "kind": "memory", "nodes": nodes, "force": True})
    experiment = board.api(
        "POST",
        "experiments",
        {
            "name": "all nodes pause",
            "target": "simulated",
            "steady_state": [{"probe": "memory", "tolerance": {"availability": ">= 99%"}}],
            "workload": {"register": {"rate": "50/s"}},
            "baseline": "8s",
            "faults": [{"at": "0s", "for": "4s", "pause": {"nodes": ["all"]}}],
            "recovery": {"timeout": "30s", "stable": "8s"},
        },
    )
    page.set_viewport_size({"width": 1440, "height": 2400})  # every chart is in sight, and so drawn
    page.add_init_script(KEEP_TOLD)
    log_in(page, board)
    run = board.api("POST", f"experiments/{experiment['id']}/start")
    address = f"{board.url}/runs/{run['id']}/"
    page.goto(address)
    until(lambda: last_event(page) > 5)

    closed = opened(page, board, address)
    before = last_event(page)
    page.evaluate("window.sockets.at(-1).close()")
    until(lambda: last_event(page) > before)
    closed.close()

    kill(board, "web")
    before = last_event(page)
    until(lambda: last_event(page) > before)

    kill(board, "redis")
    before = last_event(page)
    until(lambda: last_event(page) > before)
    reopened = opened(page, board, address)

    expect(page.locator("body")).to_have_attribute("data-connection", "over", timeout=60_000)
    stored = board.api("GET", f"runs/{run['id']}/events?limit=1000")
    events = stored["events"] if isinstance(stored, dict) else stored
    assert [e["n"] for e in events] == list(range(1, len(events) + 1))
    assert last_event(page) == len(events)
    shown = [int(row.get_attribute("data-n") or 0) for row in page.locator("#events li[data-n]").all()]
    assert len(shown) == len(set(shown))
    told = {e["n"] for e in events if e["kind"] in ("fault", "verdict")}
    assert told <= set(shown)
    # the charts are redrawn a few times a second: the last events are drawn a moment after they came
    expect(page.locator("#charts")).to_have_attribute("data-drawn", str(len(events)))
    assert "the page was away for" in told_of(page)
    expect(reopened.locator("#charts")).to_have_attribute("data-drawn", str(len(events)))
    lived, later = drawn(page), drawn(reopened)
    page.reload()
    expect(page.locator("#charts")).to_have_attribute("data-drawn", str(len(events)))
    fresh = drawn(page)
    assert fresh["traces"].keys() >= {"chart-availability", "chart-latency", "chart-heat"}
    assert_same(lived, fresh)
    assert_same(later, fresh)


def assert_same(found: dict[str, Any], fresh: dict[str, Any]) -> None:
    """Point by point."""
    assert found["log"] == fresh["log"]
    assert found["traces"].keys() == fresh["traces"].keys()
    for chart, traces in fresh["traces"].items():
        assert found["traces"][chart] == traces, chart


WALL = """
window.WebSocket = class {
  constructor() { setTimeout(() => this.onclose({ code: 1006 }), 0) }
  close() {}
}
"""


def test_where_nothing_lets_a_websocket_through_the_page_follows_by_plain_http(
    board: Board, page: Page
) -> None:
    nodes = [{"name": "n1", "address": "127.0.0.1:1", "driver": {"memory": {}}}]
    board.api("POST", "services", {"name": "walled", "kind": "memory", "nodes": nodes, "force": True})
    steady = [{"probe": "memory", "tolerance": {"availability": ">= 99%"}}]
    experiment = board.api("POST", "experiments", {
        "name": "nothing happens", "target": "walled", "steady_state": steady, "baseline": "6s", "faults": [],
    })  # fmt: skip
    page.add_init_script(WALL)
    log_in(page, board)
    run = board.api("POST", f"experiments/{experiment['id']}/start")
    page.goto(f"{board.url}/runs/{run['id']}/")
    expect(page.locator("body")).to_have_attribute("data-connection", "live")
    expect(page.locator("body")).to_have_attribute("data-connection", "over", timeout=60_000)
    assert last_event(page) == board.api("GET", f"runs/{run['id']}/events?limit=1000")["events"][-1]["n"]
