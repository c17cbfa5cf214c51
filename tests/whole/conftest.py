import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest

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
