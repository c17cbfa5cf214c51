"""Histories: what is written is read, and what is wrong is named with its line."""

from pathlib import Path

import pytest

from engine.errors import BadInput
from engine.history import Writer, read
from engine.samples import Outcome


def write(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def event(process: int, type_: str, f: str = "add", value: object = 1, time: int = 0) -> str:
    return f'{{"time": {time}, "process": {process}, "type": "{type_}", "f": "{f}", "value": {value}}}'


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "h.jsonl")
    begun = writer.add(0, "invoke", "add", 7)
    writer.add(1, "invoke", "read", None)
    ended = writer.add(1, "ok", "read", [1, 2])
    writer.add(0, "fail", "add", 7, "connection refused")
    writer.close()
    add, look = read(tmp_path / "h.jsonl").ops
    assert (add.f, add.value, add.outcome, add.error, add.invoked) == (
        "add", 7, Outcome.FAIL, "connection refused", begun,
    )  # fmt: skip
    assert (look.outcome, look.result, look.completed) == (Outcome.OK, [1, 2], ended)


def test_an_operation_that_never_ended_is_unknown(tmp_path: Path) -> None:
    (op,) = read(write(tmp_path / "h", event(0, "invoke"))).ops
    assert (op.outcome, op.completed) == (Outcome.INFO, None)


def test_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    path = write(tmp_path / "h", event(0, "invoke"))
    path.write_text(path.read_text() + event(0, "ok")[:20])
    assert read(path).ops[0].outcome is Outcome.INFO


def test_the_nemesis_is_no_client(tmp_path: Path) -> None:
    line = '{"index": 0, "time": 1, "process": "nemesis", "type": "info", "f": "kill", "value": "n1"}'
    assert len(read(write(tmp_path / "h", line, line))) == 0


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["{"], "line 1, history: is not JSON"),
        (["[1]"], "is not an event"),
        (
            [event(0, "invoke"), event(0, "invoke")],
            "line 2, history: process 0 has an operation open already",
        ),
        ([event(0, "ok")], "never began"),
        ([event(0, "maybe")], "type must be invoke, ok, fail or info, not 'maybe'"),
        (['{"time": "now", "process": 0, "type": "invoke", "f": "add"}'], "time must be a whole number"),
        (['{"time": 1, "process": 0, "type": "invoke"}'], "f must name the operation"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, lines: list[str], words: str) -> None:
    with pytest.raises(BadInput) as caught:
        read(write(tmp_path / "h", *lines))
    assert words in str(caught.value)
