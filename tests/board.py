"""The whole board as its users have it: the one command, on a free port, with its own state directory."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

from chaosboard import ports, processes
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[1]


class Command:
    """`python -m chaosboard.supervisor` with what it has printed so far."""

    def __init__(self, state: Path, port: int, *more: str) -> None:
        environ = {k: v for k, v in os.environ.items() if not k.startswith(("DJANGO_", "CHAOSBOARD_"))}
        environ |= {"CHAOSBOARD_STATE": str(state), "REDIS_URL": ""}
        self.output = state.with_name(f"{state.name}-{port}-{len(list(state.parent.iterdir()))}.txt")
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "chaosboard.supervisor", "--port", str(port), *more],
                cwd=ROOT, env=environ, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def printed(self) -> str:
        return self.output.read_text()

    def wait_for(self, words: str, timeout: float = 240) -> None:
        until(lambda: words in self.printed() or self.process.poll() is not None, timeout)
        assert words in self.printed(), self.printed()

    def end(self) -> str:
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)
        return self.printed()


def clear(state: Path) -> None:
    """Ends whatever of a board is left, also where its test failed."""
    supervisor = state / "supervisor.pid"
    if supervisor.exists():
        os.kill(int(supervisor.read_text()), signal.SIGKILL)
    processes.stop(processes.marked(state))


class Board:
    """A board that is up, and an administrator who is logged in."""

    def __init__(self, state: Path) -> None:
        self.state, self.port = state, ports.choose(1)[0]
        self.command = Command(state, self.port)
        self.command.wait_for("Ctrl-C heals and stops everything")
        found = re.search(r"admin with the password (\S+)", self.command.printed())
        assert found, self.command.printed()
        self.url, self.password = f"http://127.0.0.1:{self.port}", found[1]
        self.client = httpx.Client(base_url=self.url, trust_env=False, timeout=30, follow_redirects=True)
        self.client.get("/login/")
        self.post("/login/", {"username": "admin", "password": self.password})

    def post(self, path: str, data: dict[str, Any]) -> httpx.Response:
        """A form, as a browser posts it."""
        token = {"csrfmiddlewaretoken": self.client.cookies["chaosboard_csrf"]}
        return self.client.post(path, data={**token, **data}, headers={"Referer": self.url})

    def api(self, method: str, path: str, data: Any = None) -> Any:
        headers = {"X-CSRFToken": self.client.cookies["chaosboard_csrf"], "Referer": self.url}
        answer = self.client.request(method, f"/api/v1/{path}", json=data, headers=headers)
        assert answer.is_success, f"{path}: {answer.status_code} {answer.text}"
        return answer.json()

    def workers(self) -> list[Any]:
        return [p for p in processes.marked(self.state) if processes.part(p) == "worker-runs"]
