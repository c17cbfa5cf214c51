"""What was found, told in words: the golden histories, and some that have more in them."""

import json
from pathlib import Path
from typing import Any

import pytest

from engine.check import own_checker
from engine.checkers.sessions import Sessions
from engine.detect import detect
from engine.errors import BadInput
from engine.history import History, read
from engine.nemesis import windows
from engine.story import stories

FOLDER = Path(__file__).parent / "histories"
VIOLATED = sorted(FOLDER.glob("*/*.violated.jsonl"))
THEORY = ("linearizab", "serializab", "anomaly", "happens-before")


def name(path: Path) -> str:
    return f"{path.parent.name} {path.stem}"


def written(path: Path, *lines: dict[str, Any]) -> History:
    """Lines of process, type, f and value, a millisecond apart."""
    for i, line in enumerate(lines):
        line |= {"index": i, "time": i * 1_000_000}
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return read(path)


def event(process: int, type_: str, f: str, value: Any = None) -> dict[str, Any]:
    return {"process": process, "type": type_, "f": f, "value": value}


def told(history: History, findings: list[dict[str, Any]]) -> str:
    return "\n".join(s for story in stories(history, findings) for s in story["sentences"])


@pytest.mark.parametrize("path", VIOLATED, ids=name)
def test_every_violation_is_told_with_its_operations_and_without_theory(path: Path) -> None:
    history = read(path)
    findings = own_checker(path.parent.name).check(history).findings
    found = stories(history, findings)
    assert len(found) == len(findings)
    for story in found:
        indices = {op["index"] for op in story["operations"]}
        assert indices
        assert set(story["culprits"]) <= indices
        assert story["culprits"] or "T" in " ".join(story["sentences"])
        assert 0 <= story["start"] < story["end"]
        assert not [word for word in THEORY if word in " ".join(story["sentences"]).lower()]
    json.dumps(found)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*/*.jsonl")), ids=name)
def test_the_spec_of_a_history_is_told_by_its_operations(path: Path) -> None:
    plain = {"cas-register": {"cas-register", "register"}}  # without a cas they are the same
    assert detect(read(path)) in plain.get(path.parent.name, {path.parent.name})


def test_operations_of_no_spec_are_named() -> None:
    with pytest.raises(BadInput, match="from the operations pop, push; choose one"):
        detect(_of("push", "pop"))


def _of(*names: str) -> History:
    ops = read(FOLDER / "queue/order.held.jsonl").ops
    for op, f in zip(ops, names * len(ops), strict=False):
        op.f = f
    return History(ops)


def test_an_old_value_is_told_against_the_newer_one_that_a_client_was_told_of(tmp_path: Path) -> None:
    path = FOLDER / "register/old-value-again.violated.jsonl"
    words = told(read(path), own_checker("register").check(read(path)).findings)
    assert (
        "Client 2 read 1 at 8 ms, although client 1 had already been told that 2 was written at 4 ms."
        in words
    )
    assert "1 is older: client 0 was told that 1 was written at 2 ms, before the other began." in words
    assert "it had to hold 1 at some moment from 7 ms to 8 ms" in words


def test_a_lost_element_is_told_with_the_last_read_that_had_it(tmp_path: Path) -> None:
    history = written(
        tmp_path / "h.jsonl",
        event(4, "invoke", "add", 8814), event(4, "ok", "add", 8814),
        event(5, "invoke", "read"), event(5, "ok", "read", [8814]),
        event(7, "invoke", "read"), event(7, "ok", "read", []),
    )  # fmt: skip
    (story,) = stories(history, own_checker("set").check(history).findings)
    assert [op["process"] for op in story["operations"]] == [4, 5, 7]
    assert story["culprits"] == [4]
    assert story["sentences"][0] == "At 1 ms client 4 was told that 8814 was added."
    assert story["sentences"][-1] == "Nobody had taken 8814 away: it is lost."


def test_sessions_are_told_by_what_the_client_knew(tmp_path: Path) -> None:
    history = written(
        tmp_path / "h.jsonl",
        event(0, "invoke", "write", 1), event(0, "ok", "write", 1),
        event(0, "invoke", "write", 2), event(0, "ok", "write", 2),
        event(0, "invoke", "read"), event(0, "ok", "read", 1),
    )  # fmt: skip
    findings = Sessions().check(history).findings
    kinds = {story["kind"]: story for story in stories(history, findings)}
    assert kinds["read your writes"]["culprits"] == [4]
    assert "client had itself written a newer value" in kinds["read your writes"]["sentences"][-1]


def test_of_many_findings_each_kind_is_told_and_the_rest_is_counted(tmp_path: Path) -> None:
    lines = [event(1, type_, "add", i) for i in range(40) for type_ in ("invoke", "ok")]
    history = written(tmp_path / "h.jsonl", *lines, event(2, "invoke", "read"), event(2, "ok", "read", [99]))
    found = stories(history, own_checker("set").check(history).findings)
    assert [story["kind"] for story in found][:2] == ["lost", "unexpected"]
    assert sum(1 + story["more"] for story in found) == 41


def test_the_nemesis_of_a_history_says_when_it_hurt(tmp_path: Path) -> None:
    path = tmp_path / "history.edn"
    path.write_text(
        "{:process :nemesis, :type :info, :f :start-partition, :value nil, :time 1000}\n"
        "{:process 0, :type :invoke, :f :read, :value nil, :time 1500}\n"
        "{:process :nemesis, :type :info, :f :start-partition, :value [:a [1 2]], :time 2000}\n"
        "{:process :nemesis, :type :info, :f :stop-partition, :value nil, :time 5000}\n"
        "{:process :nemesis, :type :info, :f :stop-partition, :value nil, :time 6000}\n"
    )
    (found,) = windows(path)
    assert (found["name"], found["start"], found["end"]) == ("partition", 1000, 6000)
    path = tmp_path / "history.jsonl"
    path.write_text('{"process": "nemesis", "type": "info", "f": "kill", "value": "n1", "time": 7}\n')
    assert [(w["start"], w["end"]) for w in windows(path)] == [(7, None)]
