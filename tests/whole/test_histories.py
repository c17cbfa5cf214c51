"""Violated histories of every kind, on a whole board and in a real browser, judged by its real workers."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.board import ROOT, Board
from tests.waiting import until
from tests.whole.conftest import log_in

FOLDER = ROOT / "tests" / "engine" / "histories"
AXE = ROOT / "tests" / "clients" / "node_modules" / "axe-core" / "axe.min.js"
KINDS = [
    "set/lost", "set/resurrected", "counter/bounds", "bank/total", "queue/order",
    "register/unknown-write-lands-late", "list-append/read-skew",
]  # fmt: skip
LOOKED_AT = ("set/lost", "list-append/read-skew")  # by axe-core: each takes it a while


@pytest.fixture
def looked_at(page: Page) -> Iterator[Page]:
    """A page that axe-core may measure: it sets styles, which the board's own policy forbids."""
    assert page.context.browser
    context = page.context.browser.new_context(bypass_csp=True, viewport={"width": 1440, "height": 900})
    yield context.new_page()
    context.close()


@pytest.fixture
def axe() -> str:
    if not AXE.exists():
        pytest.skip(f"axe-core is missing: .ci/npm {AXE.parents[2].relative_to(ROOT)}")
    return AXE.read_text()


def serious(page: Page, axe: str) -> list[str]:
    """What axe-core finds that keeps people out."""
    page.evaluate(axe)
    found: dict[str, Any] = page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{v['id']}: {v['help']}: {[n['target'] for n in v['nodes'][:3]]}"
        for v in found["violations"] if v["impact"] in ("serious", "critical")
    ]  # fmt: skip


def upload(board: Board, path: Path) -> int:
    token = {"X-CSRFToken": board.client.cookies["chaosboard_csrf"], "Referer": board.url}
    asked = {"filename": path.name, "name": f"{path.parent.name} {path.stem}", "spec": path.parent.name}
    answer = board.client.post("/api/v1/histories", content=path.read_bytes(), params=asked, headers=token)
    assert answer.status_code == 201, answer.text
    return int(answer.json()["id"])


def test_every_kind_is_shown_as_the_command_judges_it(board: Board, looked_at: Page, axe: str) -> None:
    page = looked_at
    log_in(page, board)
    kept = {which: upload(board, FOLDER / f"{which}.violated.jsonl") for which in KINDS}
    until(lambda: all(h["state"] == "judged" for h in board.api("GET", "histories")["histories"]), 120)
    for which, pk in kept.items():
        result = board.api("GET", f"histories/{pk}")["result"]
        page.goto(f"{board.url}/histories/{pk}/")
        expect(page.locator(".pill.large")).to_have_text("violated")
        for i, story in enumerate(result["stories"], 1):
            shown = page.locator(f"#story-{i}")
            expect(shown.locator(".told li")).to_have_text(story["sentences"])
            assert shown.locator(".lanes a.bar").count() == len(story["operations"])
            assert shown.locator(".lanes a.culprit").count() == len(story["culprits"])
            assert shown.locator(".circle .arrow").count() == len(story["cycle"])
        if which in LOOKED_AT:
            assert serious(page, axe) == [], which
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 390, "height": 844})
    for address in ("/histories/add/", f"/histories/{kept['list-append/read-skew']}/"):
        page.goto(f"{board.url}{address}")
        assert serious(page, axe) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_file_is_chosen_judged_zoomed_and_its_operations_are_reached(board: Board, page: Page) -> None:
    log_in(page, board)
    page.goto(f"{board.url}/histories/add/")
    page.locator("#id_file").set_input_files(FOLDER / "register/old-value-again.violated.jsonl")
    page.get_by_label("Name").fill("from the lab")
    page.get_by_role("button", name="Upload and judge").click()
    page.wait_for_url(re.compile(r"/histories/\d+/$"))
    expect(page.locator(".pill.large")).to_have_text("violated", timeout=60_000)
    bar = page.locator("a.culprit")
    bar.focus()
    expect(page.locator(".detail")).to_contain_text("#6 read → 1: client 2 read 1")
    before = float(bar.locator("rect").get_attribute("width").removesuffix("%"))
    page.keyboard.press("+")
    assert float(bar.locator("rect").get_attribute("width").removesuffix("%")) == pytest.approx(
        2 * before, 0.01
    )
    page.get_by_role("button", name="What shows it").click()
    bar.press("Enter")
    expect(page.locator("#op-6")).to_be_focused()
    expect(page.locator("#op-6")).to_contain_text("read → 1")


def test_a_file_that_is_none_is_answered_with_its_line(board: Board, page: Page, tmp_path: Path) -> None:
    log_in(page, board)
    wrong = tmp_path / "wrong.jsonl"
    lines = [
        json.dumps({"index": 0, "process": 1, "type": "invoke", "f": "read", "value": None}),
        "not an event",
    ]
    wrong.write_text("\n".join([*lines, ""]))
    page.goto(f"{board.url}/histories/add/")
    page.locator("#id_file").set_input_files(wrong)
    page.get_by_role("button", name="Upload and judge").click()
    expect(page.get_by_text("line 2, history")).to_be_visible(timeout=60_000)
