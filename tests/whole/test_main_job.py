"""What a user does, in a real Chromium: log in, register a service, hurt it, watch it, read the report."""

import os
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.board import Board
from tests.waiting import until
from tests.whole.conftest import Server, last_event, log_in, points

pytestmark = [pytest.mark.browser, pytest.mark.systems]
PATIENCE = 60_000  # ms, for what the board does and not the page


def test_the_main_job(board: Board, server: Server, page: Page, tmp_path: Path) -> None:
    pid_file = tmp_path / "server.pid"
    pid_file.write_text(str(server.pid))

    log_in(page, board)

    page.get_by_role("navigation").get_by_role("link", name="Services").click()
    page.get_by_role("link", name="Register").first.click()
    page.get_by_label("Service name").fill("shop")
    page.get_by_label("Kind").select_option("http")
    page.get_by_label("Name", exact=True).fill("one")
    page.get_by_label("Address").fill(server.address)
    page.get_by_label("Controlled by").select_option("process")
    page.get_by_label("Pid file").locator("visible=true").fill(str(pid_file))
    page.get_by_role("button", name="Register it").click()
    expect(page.get_by_role("heading", name="shop")).to_be_visible()
    page.get_by_role("button", name="Check now").click()
    expect(page.get_by_text(f"pid {server.pid}").first).to_be_visible()

    page.get_by_role("link", name="New experiment").click()
    page.get_by_label("Name", exact=True).fill("the shop dies")
    page.get_by_label("baseline").fill("3s")
    page.get_by_label("for", exact=True).fill("4s")
    page.get_by_label("steady for").fill("2s")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="the shop dies")).to_be_visible()
    page.get_by_role("button", name="Start").first.click()

    expect(page.locator("[data-points]").first).to_be_visible()
    until(lambda: points(page) > 0)
    seen = points(page)
    until(lambda: points(page) > seen)
    expect(page.get_by_text("kill one (SIGKILL)").first).to_be_visible(timeout=PATIENCE)

    page.reload()  # what was missed meanwhile is there, and it goes on
    before = last_event(page)
    until(lambda: last_event(page) > before)

    page.get_by_role("link", name="Open the report").click(timeout=PATIENCE)
    expect(page.get_by_role("heading", level=1)).to_contain_text("shop was out of tolerance for")
    for text in ("Time to detect", "Recovered, from injected", "Recovered, from healed", "Availability"):
        expect(page.get_by_text(text).first).to_be_visible()
    expect(page.get_by_text("clean, read back").first).to_be_visible()
    expect(page.locator("[data-points]").first).to_be_visible()
    if folder := os.environ.get("CHAOSBOARD_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / "report.png", full_page=True)
