"""Every page of the board, measured by axe-core on a whole board that has run an experiment."""

from typing import Any

import pytest
from playwright.sync_api import Page

from tests.board import Board
from tests.waiting import until
from tests.whole.conftest import Server, log_in
from tests.whole.test_histories import FOLDER, axe, looked_at, serious, upload

__all__ = ["axe", "looked_at"]


@pytest.fixture
def tested(board: Board, server: Server) -> dict[str, int]:
    """A service, an experiment, a schedule, a judged run and a judged history; their numbers."""
    node = {"name": "one", "address": server.address, "driver": {"process": {"pid": server.pid}}}
    service = board.api("POST", "services", {"name": "web", "kind": "http", "nodes": [node]})
    experiment = board.api("POST", "experiments", {
        "name": "it pauses", "target": "web", "baseline": "1s",
        "steady_state": [{"probe": "http", "every": "100ms", "tolerance": {"availability": ">= 50%"}}],
        "faults": [{"at": "0s", "for": "1s", "pause": {"nodes": "one"}}],
        "recovery": {"timeout": "10s", "stable": "500ms"},
    })  # fmt: skip
    board.api("POST", "schedules", {"experiment": "it pauses", "cron": "0 3 * * *"})
    run = board.api("POST", f"experiments/{experiment['id']}/start")["id"]
    history = upload(board, FOLDER / "set/lost.violated.jsonl")
    until(lambda: board.api("GET", f"runs/{run}")["state"] == "done", 120)
    until(lambda: all(h["state"] == "judged" for h in board.api("GET", "histories")["histories"]), 120)
    return {"service": service["id"], "experiment": experiment["id"], "run": run, "history": history}


def addresses(of: dict[str, int]) -> list[str]:
    return [
        "/", "/map/", "/services/", "/services/add/", f"/services/{of['service']}/", f"/services/{of['service']}/edit/",
        "/experiments/", "/experiments/add/", "/experiments/faults/", f"/experiments/{of['experiment']}/",
        f"/experiments/{of['experiment']}/edit/", "/schedules/", "/runs/", f"/runs/{of['run']}/",
        f"/runs/{of['run']}/report/", "/hurt/", "/halt/", "/histories/", f"/histories/{of['history']}/",
        "/account/", "/nowhere/",
    ]  # fmt: skip


def test_no_page_keeps_anybody_out(board: Board, tested: dict[str, int], looked_at: Page, axe: str) -> None:
    page, found = looked_at, {}
    page.goto(f"{board.url}/login/")
    found["/login/"] = serious(page, axe)
    log_in(page, board)
    for address in addresses(tested):
        page.goto(f"{board.url}{address}")
        page.wait_for_load_state("load")
        found[address] = serious(page, axe)
    assert {address: problems for address, problems in found.items() if problems} == {}
    assert_fits(page, board, addresses(tested))


def assert_fits(page: Page, board: Board, where: list[str]) -> None:
    """No page is wider than a telephone."""
    page.set_viewport_size({"width": 390, "height": 844})
    widths: dict[str, Any] = {}
    for address in where:
        page.goto(f"{board.url}{address}")
        widths[address] = page.evaluate("document.documentElement.scrollWidth")
    assert {address: width for address, width in widths.items() if width > 390} == {}
