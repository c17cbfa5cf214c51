"""Many lines at once give what they give one by one, and the same words where one of them is wrong."""

from pathlib import Path

import pytest

from engine import jsonl
from engine.errors import BadInput
from engine.history import Op, read

ODD = {
    "nothing": "",
    "blank": "   ",
    "a nemesis": '{"index": 9000, "time": 5, "process": "nemesis", "type": "info", "f": "kill", "value": "n1"}',
    "a list as a value": '{"index": 9000, "time": 5, "process": 99, "type": "invoke", "f": "read", "key": "k", "value": [1]}',
    "a text as a value": '{"index": 9000, "time": 5, "process": 99, "type": "invoke", "f": "read", "key": "k", "value": "x"}',
    "a number as a key": '{"index": 9000, "time": 5, "process": 99, "type": "invoke", "f": "read", "key": 1, "value": 1.0}',
    "true": '{"index": 9000, "time": 5, "process": 99, "type": "invoke", "f": "read", "key": "k", "value": true}',
    "a great number": '{"index": 9000, "time": 5, "process": 99, "type": "invoke", "f": "w", "value": 99999999999999999999}',
    "another letter": '{"index": 9000, "time": 5, "process": 99, "type": "invoke", "f": "é", "value": 1}',
    "an escaped letter": '{"index": 9000, "time": 5, "process": 99, "type": "invoke", "f": "\\u0041", "value": 1}',
    "more fields": '{"index": 9000, "time": 5, "process": 99, "type": "invoke", "f": "w", "error": "e", "node": "n", "more": {}}',
    "spaces around": ' {"index": 9000, "time": 5, "process": 99, "type": "invoke", "f": "w", "value": 1} ',
    "a version": '{"index": 9000, "time": 5, "process": 99, "type": "invoke", "f": "w", "value": 1, "version": 3}',
    "no index": '{"time": 5, "process": 99, "type": "invoke", "f": "w", "value": 1}',
    "no time": '{"index": 9000, "process": 99, "type": "invoke", "f": "w", "value": 1}',
    "no f": '{"index": 9000, "time": 5, "process": 99, "type": "invoke", "value": 1}',
    "another type": '{"index": 9000, "time": 5, "process": 99, "type": "maybe", "f": "w", "value": 1}',
    "half a number": '{"index": 9000, "time": 5.5, "process": 99, "type": "invoke", "f": "w", "value": 1}',
    "a great time": '{"index": 9000, "time": 5000000000000000000, "process": 99, "type": "invoke", "f": "w"}',
    "a version below 0": '{"index": 9000, "time": 5, "process": 99, "type": "invoke", "f": "w", "version": -1}',
    "no JSON": '{"index": 9000,, "time": 5}',
    "two on a line": '{"index": 1, "time": 5, "process": 99, "type": "invoke", "f": "w"}{"index": 2}',
    "no object": "[1]",
    "one on two lines": '{"index": 9000, "time": 5, "process": 99,\n"type": "invoke", "f": "w", "value": 1}',
    "an end that never began": '{"index": 9000, "time": 5, "process": 99, "type": "ok", "f": "w", "value": 1}',
}


def regular(value: str, key: str) -> list[str]:
    """Forty operations, as a machine writes them."""
    found = []
    for n in range(40):
        shared = f'"process": {n % 7}, "f": "{("read", "write")[n % 2]}", "key": {key.format(n % 3)}'
        for place, kind in enumerate(("invoke", "ok")):
            told = "null" if n % 2 == 0 and kind == "invoke" else value.format(n)
            found.append(
                f'{{"index": {2 * n + place}, "time": {10 * n + place}, {shared}, "type": "{kind}", "value": {told}}}'
            )
    return found


def told(path: Path) -> list[Op] | list[str]:
    try:
        return read(path, "jsonl").ops
    except BadInput as error:
        return [str(problem) for problem in error.problems]


def in_both_ways(path: Path, lines: list[str], monkeypatch: pytest.MonkeyPatch) -> list[Op] | list[str]:
    path.write_text("".join(f"{line}\n" for line in lines))
    one_by_one = told(path)
    monkeypatch.setattr(jsonl, "BLOCK", 2000)
    monkeypatch.setattr(jsonl, "CHUNK", 400)
    assert told(path) == one_by_one
    return one_by_one


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_an_odd_line_among_many_is_read_as_alone(
    odd: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = regular("{}", '"k{}"')
    in_both_ways(tmp_path / "h", [*lines[:50], odd, *lines[50:]], monkeypatch)


@pytest.mark.parametrize(
    ("value", "key"), [("{}", '"a{}"'), ('"v{}"', "{}"), ("1{}000000007", "null"), ("null", '"a{}"')]
)
def test_numbers_and_texts_are_read_at_once(
    value: str, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = regular(value, key)
    slow: list[int] = []
    kept = jsonl._take
    monkeypatch.setattr(jsonl, "_take", lambda g, c, line: slow.append(line) or kept(g, c, line))
    found = in_both_ways(tmp_path / "h", lines, monkeypatch)
    assert len(found) == 40
    assert slow == [1]  # the first way only


def test_lines_of_several_kinds_are_read_as_cells_each_kind_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [
        line.replace('"type": "ok"', f'"type": "ok", "error": "e{n % 5}", "version": {n}') if n % 3 else line
        for n, line in enumerate(regular("{}", '"a{}"'))
    ]

    def never(*given: object) -> None:
        raise AssertionError("it was read as JSON")

    monkeypatch.setattr("pyarrow.json.read_json", never)
    found = in_both_ways(tmp_path / "h", lines, monkeypatch)
    assert {op.error for op in found if isinstance(op, Op)} == {"", *(f"e{n}" for n in range(5))}
    assert [op.version for op in found if isinstance(op, Op)][:3] == [1, None, 5]


def test_what_is_never_fit_is_given_up_and_read_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(in_both_ways(tmp_path / "h", regular("[{}]", '"k"'), monkeypatch)) == 40


def test_numbers_of_both_ways_that_are_equal_are_one_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jsonl, "BLOCK", 2000)
    monkeypatch.setattr(jsonl, "CHUNK", 400)
    path, lines = tmp_path / "h", regular("{}", '"k"')
    odd = '{"index": 900, "time": 500, "process": 99, "type": "invoke", "f": "write", "key": "é", "value": 7}'
    path.write_text("\n".join([*lines, odd, ""]))
    columns = read(path, "jsonl").columns
    (code,) = set(columns.value[[7, -1]].tolist())
    assert columns.values.values[code] == 7
