"""The whole board as one command: up, hurt, restarted, killed, started again, stopped without a trace."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from chaosboard import ports, processes
from tests.board import Command, clear
from tests.waiting import until

pytestmark = pytest.mark.systems


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    directory = tmp_path / "state"
    yield directory
    clear(directory)


def test_the_board_comes_up_outlives_its_parts_and_its_supervisor_and_leaves_nothing(state: Path) -> None:
    port = ports.choose(1)[0]
    first = Command(state, port)
    first.wait_for("Ctrl-C heals and stops everything")
    assert "Log in as admin with the password" in first.printed()
    assert httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False).status_code == 200

    second = Command(state, port)
    assert second.process.wait(30) == 1
    assert f"runs already on {state}: http://127.0.0.1:{port}" in second.printed()

    web = next(p for p in processes.marked(state) if processes.part(p) == "web")
    web.kill()
    first.wait_for("web             was ended by SIGKILL")
    until(lambda: first.printed().count("web             up") == 2)

    first.process.kill()
    first.process.wait(10)
    third = Command(state, port)
    third.wait_for("processes that an earlier start left behind")
    third.wait_for("Ctrl-C heals and stops everything")
    assert "password" not in third.printed()

    assert "0 healed, nothing left running." in third.end()
    assert processes.marked(state) == []
    assert ports.free(port)
