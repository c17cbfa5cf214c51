"""Parts that stay: where another one does their work already, they wait and take its place when it dies."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import proxy, warden
from engine.errors import EngineError
from tests.waiting import until

Parts = list["subprocess.Popen[bytes]"]


@pytest.fixture
def started() -> Iterator[Parts]:
    found: Parts = []
    yield found
    for process in found:
        process.kill()
        process.wait()


def start(state: Path, part: str, *more: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "engine", part, "--state", str(state), *more]
    return subprocess.Popen(command, env=dict(os.environ), stdout=subprocess.DEVNULL)


def answers(state: Path) -> bool:
    try:
        return "links" in proxy.call(state, {"do": "hello"})
    except EngineError:
        return False


@pytest.mark.parametrize(
    ("part", "more", "works"),
    [("warden", (), warden.watching), ("proxy", ("--api", "none"), answers)],
    ids=["warden", "proxy"],
)
def test_one_that_stays_takes_the_place_of_one_that_dies(
    tmp_path: Path, started: Parts, part: str, more: tuple[str, ...], works: object
) -> None:
    assert callable(works)
    first = start(tmp_path, part, *more)
    started.append(first)
    until(lambda: works(tmp_path))
    second = start(tmp_path, part, *more, "--stay")
    started.append(second)
    assert start(tmp_path, part, *more).wait(30) == 0  # without it, there is nothing to do
    assert second.poll() is None
    first.kill()
    first.wait()
    until(lambda: works(tmp_path))
    assert second.poll() is None
    second.terminate()
    second.wait(30)


def test_looking_whether_a_warden_watches_keeps_none_from_coming_up(tmp_path: Path, started: Parts) -> None:
    code = (
        "import sys; from pathlib import Path; from engine import warden\n"
        "while True: warden.watching(Path(sys.argv[1]))"
    )
    started.append(subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]))
    (tmp_path / "warden.lock").touch()
    one = start(tmp_path, "warden")
    started.append(one)
    until(lambda: warden.watching(tmp_path))
    assert one.poll() is None
