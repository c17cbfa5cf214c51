"""The halt from the browser: one button on every page, by hand and by keyboard."""

import pytest
from playwright.sync_api import Page, expect

from tests.board import Board
from tests.whole.conftest import log_in

pytestmark = [pytest.mark.browser, pytest.mark.systems]


def test_the_button_halts_and_everybody_sees_why(board: Board, page: Page) -> None:
    log_in(page, board)
    for by_keyboard in (False, True):
        page.goto(f"{board.url}/experiments/")
        page.get_by_role("button", name="Halt everything").click()
        page.get_by_label("Why").fill("a real incident")
        if by_keyboard:
            page.keyboard.press("Enter")
        else:
            page.get_by_role("button", name="Halt and heal now").click()
        expect(page.get_by_text("a real incident").first).to_be_visible()
        assert board.api("GET", "halt")["halted"]
        page.get_by_role("button", name="Resume").first.click()
        expect(page.get_by_text("The halt is lifted")).to_be_visible()
