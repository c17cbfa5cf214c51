"""Real replicas that answer with old values: the page of the run says so while the run goes on, and its report tells why."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from engine.lab.cluster import Cluster
from tests.board import Board
from tests.systems import running_valkey, valkey_sentinel
from tests.waiting import until
from tests.whole.conftest import log_in

__all__ = ["running_valkey", "valkey_sentinel"]

pytestmark = [pytest.mark.browser, pytest.mark.systems]
PATIENCE = 60_000  # ms, for what the board does and not the page
MARKS = """() => [...document.querySelectorAll('#charts .chart')].filter((chart) => chart.layout && !chart.away).map((chart) => ({
  lines: chart.layout.shapes.filter((shape) => shape.type === 'line').map((shape) => shape.x0),
  words: chart.layout.annotations.map((one) => one.text),
}))"""


def experiment(target: str) -> dict[str, Any]:
    """Clients read from replicas of a Valkey, one of which gets no writes for a while."""
    return {
        "name": "a replica falls behind", "target": target, "baseline": "2s",
        "steady_state": [{"probe": {"redis": {"check": "ping"}}, "every": "100ms", "tolerance": {"availability": ">= 50%"}}],
        "workload": {"register": {"clients": 6, "rate": "100/s", "keys": 3, "read_from": "replicas"}},
        "faults": [{"at": "0s", "for": "6s", "detach-replica": {"nodes": ["v3"]}}],
        "recovery": {"timeout": "20s", "stable": "1s"}, "expect": {"linearizable": True},
    }  # fmt: skip


@pytest.fixture
def stale(board: Board, valkey_sentinel: Cluster) -> int:
    """A run of it."""
    board.api("POST", "services", {**valkey_sentinel.document(), "name": "cache"})
    made = board.api("POST", "experiments", experiment("cache"))
    return int(board.api("POST", f"experiments/{made['id']}/start")["id"])


def marks(page: Page) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = page.evaluate(MARKS)
    return found


def first(board: Board, run: int) -> dict[str, Any] | None:
    """The event that told it."""
    events = board.api("GET", f"runs/{run}/events")["events"]
    return next((event for event in events if event["kind"] == "violation"), None)


def test_the_first_violation_is_marked_while_the_run_goes_on_and_told_by_the_report(
    board: Board, stale: int, page: Page
) -> None:
    log_in(page, board)
    page.goto(f"{board.url}/runs/{stale}/")
    expect(page.get_by_role("link", name="the data is wrong")).to_be_visible(timeout=PATIENCE)
    until(lambda: all(mark["lines"] for mark in marks(page)))
    assert board.api("GET", f"runs/{stale}")["state"] == "running"

    event = first(board, stale)
    assert event
    assert {line for mark in marks(page) for line in mark["lines"]} == {event["at"]}
    assert "the data is wrong" in marks(page)[0]["words"]
    expect(page.locator("#facts")).to_contain_text("Datawrong")
    expect(page.locator("#events")).to_contain_text("the data is wrong")
    page.get_by_role("link", name="the data is wrong").click()
    expect(page.locator("#violation .story")).to_be_in_viewport()
    told = page.locator("#violation .story .told li")
    assert told.count() >= 2
    expect(page.locator("#violation .lanes a.bar.culprit")).not_to_have_count(0)

    page.get_by_role("link", name="Open the report").click(timeout=PATIENCE)
    expect(page.locator(".page-head .pill.large")).to_have_text("violated")
    expect(page.locator("#consistency .story").first).to_be_visible()
