"""The whole board as one command: up, hurt, restarted, killed, started again, stopped without a trace."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from chaosboard import ports, processes
from tests.waiting import until

pytestmark = pytest.mark.systems
ROOT = Path(__file__).resolve().parents[2]


class Command:
    """`python -m chaosboard.supervisor` with what it has printed so far."""

    def __init__(self, state: Path, port: int) -> None:
        environ = {k: v for k, v in os.environ.items() if not k.startswith(("DJANGO_", "CHAOSBOARD_"))}
        environ |= {"CHAOSBOARD_STATE": str(state), "REDIS_URL": ""}
        self.output = state.with_name(f"{state.name}-{port}-{len(list(state.parent.iterdir()))}.txt")
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "chaosboard.supervisor", "--port", str(port)],
                cwd=ROOT, env=environ, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def printed(self) -> str:
        return self.output.read_text()

    def wait_for(self, words: str, timeout: float = 90) -> None:
        until(lambda: words in self.printed() or self.process.poll() is not None, timeout)
        assert words in self.printed(), self.printed()

    def end(self) -> str:
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)
        return self.printed()


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    directory = tmp_path / "state"
    yield directory
    supervisor = directory / "supervisor.pid"
    if supervisor.exists():
        os.kill(int(supervisor.read_text()), signal.SIGKILL)
    processes.stop(processes.marked(directory))


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
