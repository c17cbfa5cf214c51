"""`python -m engine check`: what it prints, and its exit status."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.__main__ import main
from engine.history import read
from engine.specs import REGISTRY as SPECS

HISTORIES = Path(__file__).parent / "histories"


Check = Callable[..., tuple[int, str, str]]


@pytest.fixture
def check(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Check:
    """Runs the command in this process; gives its exit status and what it printed."""

    def run(file: str, *options: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["engine", "check", str(HISTORIES / file), *options])
        status = main()
        return status, *capsys.readouterr()

    return run


def test_the_command_is_there_and_its_exit_status_is_that_of_the_verdict() -> None:
    file = HISTORIES / "register" / "old-value-again.violated.jsonl"
    done = subprocess.run(
        [sys.executable, "-m", "engine", "check", str(file), "--spec", "register"], check=False
    )
    assert done.returncode == 1


def test_held_is_0_and_one_line(check: Check) -> None:
    status, out, _ = check("register/failed-write.held.jsonl", "--spec", "register")
    assert (status, out) == (0, "HELD: one order explains all answers of 3 operations\n")


def test_violated_is_1_and_shows_the_operations(check: Check) -> None:
    status, out, _ = check("register/old-value-again.violated.jsonl", "--spec", "register", "--certify")
    assert status == 1
    assert "process 2: read -> 1 (ok)" in out


def test_json_is_one_object_with_a_counterexample(check: Check) -> None:
    status, out, _ = check(
        "list-append/write-skew.violated.jsonl", "--spec", "list-append", "--json", "--certify"
    )
    told = json.loads(out)
    assert (status, told["verdict"], told["spec"], told["operations"]) == (1, "violated", "list-append", 3)
    (finding,) = told["findings"]
    assert (finding["kind"], finding["certified"]) == ("G2-item", "brute force tried every order")
    assert [op["index"] for op in finding["operations"]] == [0, 1]


@pytest.mark.parametrize("spec", sorted(path.name for path in HISTORIES.iterdir() if path.name in SPECS))
def test_every_verdict_can_be_certified(check: Check, spec: str) -> None:
    for path in sorted((HISTORIES / spec).glob("*.jsonl")):
        status, out, _ = check(
            f"{spec}/{path.name}", "--spec", spec, "--certify", "--json", "--timeout", "20"
        )
        told = json.loads(out)
        assert status == ("violated" in path.name)
        assert "certified" in told["headline"] or all("certified" in finding for finding in told["findings"])


def test_unknown_is_2(check: Check, tmp_path: Path) -> None:
    empty = tmp_path / "history.jsonl"
    empty.write_text("")
    assert check(str(empty), "--spec", "register")[0] == 2


def test_the_level_is_that_which_was_asked_for(check: Check) -> None:
    options = ("--spec", "list-append", "--level", "snapshot-isolation")
    assert check("list-append/write-skew.violated.jsonl", *options)[0] == 0


def test_another_checker_may_judge(check: Check) -> None:
    status, out, _ = check(
        "register/old-value-again.violated.jsonl", "--spec", "register", "--checker", "sessions"
    )
    assert (status, out.startswith("VIOLATED: 1 against monotonic reads")) == (1, True)


@pytest.mark.parametrize(
    ("file", "options", "words"),
    [
        (
            "register/failed-write.held.jsonl",
            ["--spec", "set"],
            "'write' is no operation of set; there are: add, read",
        ),
        ("register/failed-write.held.jsonl", ["--spec", "no"], "--spec: there is no spec called 'no'"),
        ("register/failed-write.held.jsonl", ["--spec", "register", "--level", "x"], "has no such option"),
        ("register/failed-write.held.jsonl", ["--spec", "register", "--timeout", "soon"], "timeout"),
        ("list-append/own-append.held.jsonl", ["--spec", "list-append", "--level", "x"], "'x' is not one of"),
        ("register/failed-write.held.jsonl", ["--spec", "register", "--format", "edn"], "history: "),
        ("nothing.jsonl", [], "No such file"),
    ],
)
def test_bad_input_is_3_and_says_what_would_be_right(
    check: Check, file: str, options: list[str], words: str
) -> None:
    status, _, error = check(file, *options)
    assert status == 3
    assert words in error


@pytest.mark.parametrize(
    "file", sorted(HISTORIES.glob("*/*.held.jsonl")), ids=lambda path: f"{path.parent.name} {path.stem}"
)
def test_what_is_exported_is_the_same_history(check: Check, tmp_path: Path, file: Path) -> None:
    check(str(file), "--spec", "auto", "--export", str(tmp_path / "out.jsonl"))
    assert read(tmp_path / "out.jsonl").ops == read(file).ops


def test_a_history_is_not_exported_over_itself(check: Check, tmp_path: Path) -> None:
    file = tmp_path / "h.jsonl"
    file.write_bytes((HISTORIES / "register" / "failed-write.held.jsonl").read_bytes())
    status, _, error = check(str(file), "--spec", "register", "--export", str(file))
    assert (status, "--export: is the history itself" in error) == (3, True)
