"""The supervisor on parts of the tests' own: it greets, restarts, gives up, and leaves nothing."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from chaosboard import processes
from chaosboard.supervisor import preparation
from chaosboard.supervisor.part import GivenUp, Keeper, Part
from chaosboard.supervisor.preparation import CannotStart
from tests.waiting import until

SLEEPER = "import sys, time; print('here', flush=True); time.sleep(600)"
BROKEN = "raise SystemExit('the oven is cold')"


class Stage:
    """A keeper of one part, with the time in the test's hand."""

    def __init__(self, state: Path, code: str, **more: object) -> None:
        self.lines: list[str] = []
        part = Part("oven", (sys.executable, "-c", code), lambda log: "here" in log, **more)
        self.keeper = Keeper(part, state, state, {}, self.lines.append)
        self.now = 100.0

    def look(self, later: float = 0.0) -> None:
        self.now += later
        self.keeper.look(self.now)

    def start(self) -> None:
        self.look()
        until(lambda: self.look() or self.keeper.up)

    def die(self, lived: float) -> None:
        self.keeper.process.kill()
        until(lambda: self.keeper.process.poll() is not None)
        self.look(lived)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    processes.stop(processes.marked(tmp_path), grace=0)


def test_a_part_is_greeted_once_when_it_is_up(state: Path) -> None:
    stage = Stage(state, SLEEPER, where="127.0.0.1:1")
    stage.start()
    stage.look(1)
    assert len(stage.lines) == 1
    assert "oven" in stage.lines[0]
    assert "127.0.0.1:1" in stage.lines[0]


def test_a_part_that_dies_is_started_again_and_a_line_says_so(state: Path) -> None:
    stage = Stage(state, SLEEPER)
    stage.start()
    first = stage.keeper.process.pid
    stage.die(lived=30)
    assert "was ended by SIGKILL after 30.0 s" in stage.lines[-1]
    stage.look(1)
    until(lambda: stage.look() or stage.keeper.up)
    assert stage.keeper.process.pid != first


def test_after_five_quick_deaths_it_gives_up_with_the_last_words_of_the_part(state: Path) -> None:
    stage = Stage(state, BROKEN)
    with pytest.raises(GivenUp, match="oven ended with status 1, 5 times in a row") as given_up:
        until(lambda: stage.look(1.0))
    assert "the oven is cold" in str(given_up.value)


def test_deaths_after_a_long_life_do_not_add_up(state: Path) -> None:
    stage = Stage(state, SLEEPER)
    for _ in range(6):
        stage.start()
        stage.die(lived=60)
        stage.look(10)
    assert stage.keeper.deaths == 1


def test_what_a_dead_part_leaves_of_its_group_is_ended_with_it(state: Path) -> None:
    parent = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {SLEEPER!r}]).wait()"
    stage = Stage(state, parent)
    stage.start()
    (child,) = psutil.Process(stage.keeper.process.pid).children()
    stage.die(lived=30)
    until(lambda: not processes.alive(child))


def test_a_paused_part_is_stopped_too(state: Path) -> None:
    stage = Stage(state, SLEEPER)
    stage.start()
    os.kill(stage.keeper.process.pid, signal.SIGSTOP)
    stage.keeper.ask()
    stage.keeper.stop()
    assert processes.marked(state) == []


def test_what_an_earlier_start_left_is_found_by_its_mark_and_stopped(state: Path) -> None:
    subprocess.Popen(
        [sys.executable, "-c", SLEEPER],
        env={**os.environ, "CHAOSBOARD_OWNER": str(state), "CHAOSBOARD_PART": "web"},
        stdout=subprocess.DEVNULL,
    )
    until(lambda: processes.marked(state))
    lines = preparation.clear_leftovers(state, state)
    assert lines == ["Stopped 1 processes that an earlier start left behind: web."]
    assert processes.marked(state) == []


def test_a_second_supervisor_on_the_same_directory_is_told_of_the_first(tmp_path: Path) -> None:
    with (
        preparation.take_lock(tmp_path, "http://127.0.0.1:8000"),
        pytest.raises(CannotStart, match=r"runs already .*http://127\.0\.0\.1:8000 \(pid \d+\)"),
    ):
        preparation.take_lock(tmp_path, "http://127.0.0.1:8001")


def test_a_port_in_use_is_named_with_its_holder_and_the_remedy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(CannotStart, match=rf"Port {port} .* pid {os.getpid()} .*PORT="):
            preparation.check_port("127.0.0.1", port)


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 0), ("127.0.0.1", 65536), ("192.0.2.1", 8000)])
def test_an_address_that_cannot_be_had_is_refused_in_words(host: str, port: int) -> None:
    with pytest.raises(CannotStart, match="PORT="):
        preparation.check_port(host, port)


def test_a_state_directory_that_cannot_be_written_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotStart, match=r"file/var cannot be written .* CHAOSBOARD_STATE="):
        preparation.make_state(tmp_path / "file" / "var")


def test_a_state_directory_with_too_long_a_path_is_named_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match=r"too long for a socket in it: .* at most 92 characters"):
        preparation.make_state(tmp_path / ("x" * 120))


def test_the_pages_answer_to_the_names_of_the_machine_where_it_listens_everywhere() -> None:
    assert socket.gethostname() in preparation.allowed_hosts("0.0.0.0").split(",")
    assert preparation.allowed_hosts("127.0.0.1") == "127.0.0.1,[::1],localhost"


def test_a_long_log_is_set_aside(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chaosboard.supervisor.part.LONG", 3)
    stage = Stage(state, SLEEPER)
    stage.start()
    stage.look(60)
    assert stage.keeper.log.read_text() == ""
    assert stage.keeper.log.with_suffix(".log.1").read_text() == "here\n"


def test_what_could_not_be_healed_is_told() -> None:
    clean = {"fault": "kill n1", "state": "clean", "text": ""}
    stuck = {"fault": "pause n2", "state": "stuck", "text": "pid 7 does not answer"}
    assert preparation.count_healed([clean, stuck]) == (
        1,
        "Not healed: pause n2 is stuck: pid 7 does not answer",
    )
