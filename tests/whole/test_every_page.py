"""Every page that the board's addresses offer, measured by axe-core on a whole board that has run an experiment."""

import re
from typing import Any

import pytest
from django.urls import get_resolver
from playwright.sync_api import Page

from tests.board import Board
from tests.chaosboard.test_urls import names
from tests.waiting import until
from tests.whole.conftest import Server, log_in
from tests.whole.test_histories import FOLDER, axe, looked_at, serious, upload

__all__ = ["axe", "looked_at"]

NO_PAGES = {
    # answered by another page
    "start_demo", "logout", "revoke_token", "histories:again", "histories:describe", "runs:act", "runs:judge_again",
    "runs:abort", "runs:note", "runs:extend", "runs:start", "runs:heal", "runs:acknowledge", "runs:resume", "runs:share",
    "runs:report_note", "runs:take_back", "runs:attach", "runs:detach",
    # parts of pages
    "targets:links", "targets:check", "experiments:draw", "experiments:preview", "schedules:preview", "runs:violation",
    # files, streams and words for machines
    "runs:export", "runs:export_many", "runs:report_json", "runs:attachment", "runs:stream", "shared:file",
    "experiments:document", "histories:file", "histories:result", "healthz", "readyz", "favicon",
}  # fmt: skip


@pytest.fixture
def tested(board: Board, server: Server) -> dict[str, str]:
    """The address of every page, by its name: of a service, an experiment, a schedule, two judged runs and histories."""
    node = {"name": "one", "address": server.address, "driver": {"process": {"pid": server.pid}}}
    service = board.api("POST", "services", {"name": "web", "kind": "http", "nodes": [node]})["id"]
    experiment = board.api("POST", "experiments", {
        "name": "it pauses", "target": "web", "baseline": "1s",
        "steady_state": [{"probe": "http", "every": "100ms", "tolerance": {"availability": ">= 50%"}}],
        "faults": [{"at": "0s", "for": "1s", "pause": {"nodes": "one"}}],
        "recovery": {"timeout": "10s", "stable": "500ms"},
    })["id"]  # fmt: skip
    schedule = board.api("POST", "schedules", {"experiment": "it pauses", "cron": "0 3 * * *"})["id"]
    runs = [board.api("POST", f"experiments/{experiment}/start")["id"] for _ in range(2)]
    history = upload(board, FOLDER / "set/lost.violated.jsonl")
    until(lambda: all(board.api("GET", f"runs/{run}")["state"] == "done" for run in runs), 120)
    until(lambda: all(h["state"] == "judged" for h in board.api("GET", "histories")["histories"]), 120)
    board.post(f"/runs/{runs[1]}/share/", {"days": "7"})
    shared = re.search(
        r'value="http://[^/]+(/shared/[^"]+)"', board.client.get(f"/runs/{runs[1]}/report/").text
    )
    assert shared
    return {
        "home": "/", "map": "/map/", "account": "/account/", "nowhere": "/nowhere/", "shared:report": shared[1],
        "weekly:settings": "/weekly/", "weekly:preview": "/weekly/preview/",
        "targets:list": "/services/", "targets:add": "/services/add/", "targets:detail": f"/services/{service}/",
        "targets:edit": f"/services/{service}/edit/", "targets:delete": f"/services/{service}/delete/",
        "experiments:list": "/experiments/", "experiments:add": "/experiments/add/",
        "experiments:faults": "/experiments/faults/", "experiments:detail": f"/experiments/{experiment}/",
        "experiments:edit": f"/experiments/{experiment}/edit/", "experiments:delete": f"/experiments/{experiment}/delete/",
        "schedules:list": "/schedules/", "schedules:add": "/schedules/add/", "schedules:edit": f"/schedules/{schedule}/edit/",
        "schedules:delete": f"/schedules/{schedule}/delete/", "histories:list": "/histories/",
        "histories:add": "/histories/add/", "histories:detail": f"/histories/{history}/",
        "histories:delete": f"/histories/{history}/delete/", "runs:list": "/runs/", "runs:keeping": "/runs/keeping/",
        "runs:detail": f"/runs/{runs[1]}/", "runs:report": f"/runs/{runs[1]}/report/",
        "runs:judgements": f"/runs/{runs[1]}/judgements/", "runs:compare": f"/runs/compare/?runs={runs[0]},{runs[1]}",
        "runs:experiment_trend": f"/experiments/{experiment}/trend/", "runs:service_trend": f"/services/{service}/trend/",
        "runs:hurt": "/hurt/", "runs:halt": "/halt/",
    }  # fmt: skip


def test_no_page_keeps_anybody_out(board: Board, tested: dict[str, str], looked_at: Page, axe: str) -> None:
    offered = {name for name, _ in names(get_resolver().url_patterns) if not name.startswith("api:")}
    assert offered - NO_PAGES == {*tested, "login"} - {"nowhere"}
    page, found = looked_at, {}
    page.goto(f"{board.url}/login/")
    found["/login/"] = serious(page, axe)
    log_in(page, board)
    for address in tested.values():
        page.goto(f"{board.url}{address}")
        page.wait_for_load_state("load")
        found[address] = serious(page, axe)
    assert {address: problems for address, problems in found.items() if problems} == {}
    assert_fits(page, board, list(tested.values()))


def assert_fits(page: Page, board: Board, where: list[str]) -> None:
    """No page is wider than a telephone."""
    page.set_viewport_size({"width": 390, "height": 844})
    widths: dict[str, Any] = {}
    for address in where:
        page.goto(f"{board.url}{address}")
        widths[address] = page.evaluate("document.documentElement.scrollWidth")
    assert {address: width for address, width in widths.items() if width > 390} == {}
