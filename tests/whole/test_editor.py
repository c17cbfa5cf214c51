"""The editor in the browser: the plan is dragged, links are picked on the map, and the form follows."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.board import Board
from tests.whole.conftest import Server, log_in

pytestmark = pytest.mark.browser
LISTENS = """
import socket, sys
ports = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
print(*(port.getsockname()[1] for port in ports))
sys.stdin.read()
"""


def drag(page: Page, block: Locator, by: float, *, grip: float) -> None:
    """By so many seconds of the plan; `grip` is where the block is held, 0 its left end, 1 its right one."""
    whole = float(page.locator(".plan").get_attribute("data-seconds") or 0)
    box, strip = block.locator("rect").bounding_box(), block.locator("..").bounding_box()
    assert box
    assert strip
    x, y = box["x"] + 4 + grip * (box["width"] - 8), box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    for part in (0.5, 1):
        page.mouse.move(x + part * by / whole * strip["width"], y)
    page.mouse.up()


def test_a_dragged_block_is_later_or_longer_and_a_clicked_one_leads_to_its_fields(
    board: Board, page: Page, server: Server
) -> None:
    node = {"name": "n1", "address": server.address, "driver": {"process": {"pid": server.pid}}}
    board.api("POST", "services", {"name": "dragged", "kind": "tcp", "nodes": [node]})
    experiment = board.api("POST", "experiments", {
        "name": "dragged", "target": "dragged", "baseline": "10s",
        "steady_state": [{"probe": "tcp", "tolerance": {"availability": ">= 50%"}}],
        "faults": [{"at": "10s", "for": "20s", "pause": {"nodes": "n1"}}],
    })["id"]  # fmt: skip
    log_in(page, board)
    page.goto(f"{board.url}/experiments/{experiment}/edit/")
    block, at, lasts = (page.locator(where) for where in (".bar.fault", "#id_step-0-at", "#id_step-0-for"))
    drag(page, block, 5, grip=0.5)
    expect(at).to_have_value("15s")
    expect(block.locator("title")).to_contain_text("25 s to 45 s")
    drag(page, block, 10, grip=1)
    expect(lasts).to_have_value("30s")
    expect(block.locator("title")).to_contain_text("25 s to 55 s")
    drag(page, block, -40, grip=0.5)
    expect(at).to_have_value("0s")
    expect(block.locator("title")).to_contain_text("10 s to 40 s")
    block.click()
    expect(page.locator("fieldset.step select").first).to_be_focused()


@pytest.fixture
def three() -> Iterator[list[dict[str, Any]]]:
    """Nodes: three ports, on which one process listens."""
    command = [sys.executable, "-u", "-c", LISTENS]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True) as child:
        assert child.stdout
        ports = child.stdout.readline().split()
        driver = {"process": {"pid": child.pid}}
        yield [
            {"name": f"n{i}", "address": f"127.0.0.1:{p}", "driver": driver} for i, p in enumerate(ports, 1)
        ]
        child.kill()


def test_links_are_picked_on_the_map_and_beside_it(
    board: Board, page: Page, three: list[dict[str, Any]]
) -> None:
    board.api("POST", "services", {"name": "picked", "kind": "tcp", "nodes": three})
    log_in(page, board)
    page.goto(f"{board.url}/experiments/add/?target=picked")
    page.get_by_role("button", name="Cut links").click()
    links, words = page.locator("[name=step-1-partition-links]"), page.locator("#cutting")
    page.locator("[name=step-1-partition-topology]").select_option("")
    links.fill("n1 -> n2")
    expect(words).to_contain_text("Cut n1 → n2")
    page.get_by_text("Link by link").click()
    page.locator('#links button[data-from="n2"][data-to="n1"]').click()
    expect(links).to_have_value("n1 <-> n2")
    size = page.locator("#map").bounding_box()
    assert size
    radius = min(size["width"] * 0.32, size["height"] * 0.37)  # n1 is at the top of the ring
    page.mouse.click(size["x"] + size["width"] * 0.58, size["y"] + size["height"] / 2 - radius)
    expect(links).to_have_value("n1 <-> n2; n1 <-> n3")
    expect(words).to_contain_text("2 of 6 links are cut")
