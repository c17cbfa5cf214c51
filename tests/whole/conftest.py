import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest
from playwright.sync_api import Page, sync_playwright

from chaosboard import ports, processes
from engine.processes import listeners
from tests.board import Board, clear
from tests.waiting import until


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    state = tmp_path_factory.mktemp("board") / "state"
    try:
        one = Board(state)
        yield one
        assert "nothing left running" in one.command.end()
        assert processes.marked(state) == []
    finally:
        clear(state)


class Server(NamedTuple):
    """A service of the user's own."""

    address: str
    pid: int


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    port = ports.choose(1)[0]
    command = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]
    with (tmp_path / "server.log").open("wb") as log:
        child = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log)
    until(lambda: child.pid in listeners(port))
    yield Server(f"127.0.0.1:{port}", child.pid)
    for pid in {child.pid, *listeners(port)}:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    child.wait()


FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]


@pytest.fixture
def page(request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page of Debian's Chromium; whatever its console complains of fails the test.

    In a test marked `torn_sockets` Chromium may report connections that broke, and nothing else.
    """
    path = shutil.which("chromium")
    assert path, "chromium is missing: apt-get install chromium"
    complaints: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        one = browser.new_page(viewport={"width": 1440, "height": 900})
        one.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None)
        one.on("pageerror", lambda error: complaints.append(str(error)))
        yield one
        browser.close()
    if request.node.get_closest_marker("torn_sockets"):
        complaints = [c for c in complaints if "WebSocket connection" not in c and "net::ERR_" not in c]
    assert complaints == []


def log_in(page: Page, board: Board) -> None:
    page.goto(f"{board.url}/")
    page.get_by_label("Name").fill("admin")
    page.get_by_label("Password").fill(board.password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{board.url}/")


def points(page: Page) -> int:
    return int(page.locator("[data-points]").first.get_attribute("data-points") or 0)


def last_event(page: Page) -> int:
    return int(page.locator("body").get_attribute("data-last-event") or 0)
