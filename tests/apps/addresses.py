"""Addresses for tests: one that answers, one at which nobody listens, and a process that may be hurt."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from chaosboard import processes

SERVER = """
import socket
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
while True:
    listener.accept()
"""


@dataclass(frozen=True)
class Victim:
    pid: int
    address: str


@pytest.fixture(autouse=True)
def state(settings, monkeypatch, tmp_path: Path) -> Path:
    """A state directory of the test's own, for the board and for the engine."""
    settings.CHAOSBOARD_STATE = tmp_path
    monkeypatch.setenv("CHAOSBOARD_STATE", str(tmp_path))
    return tmp_path


@pytest.fixture
def links(state: Path) -> Iterator[None]:
    """Ends the link proxy that the test's board started."""
    yield
    assert processes.stop(processes.marked(state)) == []


@pytest.fixture
def answering() -> Iterator[str]:
    """An address of this very process."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def silent() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def victim() -> Iterator[Victim]:
    yield from _serving()


@pytest.fixture
def another() -> Iterator[Victim]:
    yield from _serving()


def _serving() -> Iterator[Victim]:
    process = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    yield Victim(process.pid, f"127.0.0.1:{process.stdout.readline().strip()}")
    process.kill()
    process.wait()


@pytest.fixture
def gone() -> int:
    """The pid of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid
