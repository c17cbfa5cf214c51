"""Histories: what is written is read, and what is wrong is named with its line."""

from pathlib import Path

import pyarrow as pa
import pytest

from engine import jsonl
from engine.errors import BadInput
from engine.history import History, events, read
from engine.recorded import Tail, Writer
from engine.samples import Outcome


def write(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def event(process: int, type_: str, f: str = "add", value: object = 1, time: int = 0) -> str:
    return f'{{"time": {time}, "process": {process}, "type": "{type_}", "f": "{f}", "value": {value}}}'


def recorded(path: Path) -> tuple[int, int]:
    """Two operations at once, one of them failed; when the first began and the other ended."""
    writer = Writer(path)
    adding, begun = writer.invoke(0, "add", "a", 7, 5)
    looking, _ = writer.invoke(1, "read", "a", None, 6)
    ended = writer.end(looking, Outcome.OK, [1, "x", 2**63], node="n1", version=3)
    writer.end(adding, Outcome.FAIL, 7, error="connection refused")
    writer.close()
    return begun, ended


def test_what_was_recorded_is_read_back(tmp_path: Path) -> None:
    begun, ended = recorded(tmp_path / "h.arrows")
    add, look = read(tmp_path / "h.arrows").ops
    assert (add.f, add.key, add.value, add.outcome, add.error, add.invoked) == (
        "add", "a", 7, Outcome.FAIL, "connection refused", begun,
    )  # fmt: skip
    assert (look.outcome, look.result, look.completed) == (Outcome.OK, [1, "x", 2**63], ended)
    assert (look.index, look.completed_index, look.version, look.node) == (1, 2, 3, "n1")


def test_what_was_recorded_is_exported_as_json_lines_and_read_as_the_same(tmp_path: Path) -> None:
    recorded(tmp_path / "h.arrows")
    (tmp_path / "h.jsonl").write_bytes(b"".join(jsonl.lines(events(read(tmp_path / "h.arrows")))))
    assert read(tmp_path / "h.jsonl").ops == read(tmp_path / "h.arrows").ops


def killed(path: Path, cut: int) -> History:
    """What is read where the writer was killed: after four batches, in the middle of the last."""
    writer = Writer(path)
    for batch in range(4):
        for n in range(1000):
            begun, _ = writer.invoke(0, "add", f"k{n % (batch + 1)}", batch * 1000 + n, 0)
            writer.end(begun, Outcome.OK, batch * 1000 + n)
        writer._write()
    path.write_bytes(path.read_bytes()[: path.stat().st_size - cut])
    return read(path)


def test_of_a_killed_writer_only_the_last_batch_is_lost(tmp_path: Path) -> None:
    assert len(killed(tmp_path / "whole", 0)) == 4000
    torn = killed(tmp_path / "torn", 100)
    assert [op.value for op in torn.ops] == list(range(3000))
    assert {op.key for op in torn.ops} == {"k0", "k1", "k2"}


def test_numbers_far_apart_and_texts_are_read_like_those_close_together(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "h")
    values = [2**61, -5, "a", "", None, True, 1, "a", {"x": [1]}]
    for value in values:
        begun, _ = writer.invoke(0, "w", None, value, 0)
        writer.end(begun, Outcome.OK, value)
    writer.close()
    history = read(tmp_path / "h")
    assert [op.value for op in history.ops] == values == [op.result for op in history.ops]
    codes = history.columns.value.tolist()
    assert codes[2] == codes[7]
    assert codes[5] != codes[6]


def test_an_operation_whose_end_was_written_later_is_read_once_and_followed_in_order(tmp_path: Path) -> None:
    writer, tail = Writer(tmp_path / "h"), Tail(tmp_path / "h")
    slow, _ = writer.invoke(0, "add", "a", 1, 0)
    quick, _ = writer.invoke(1, "add", "a", "x", 0)
    writer.end(quick, Outcome.OK, "x")
    writer._write()
    told = list(tail.read())
    assert [op.outcome for op in read(tmp_path / "h").ops] == [Outcome.INFO, Outcome.OK]
    later, _ = writer.invoke(1, "add", "b", 3, 0)
    writer.end(slow, Outcome.OK, 1)
    writer._write()
    writer.end(later, Outcome.INFO, None, error="no answer")
    never, _ = writer.invoke(1, "add", "b", [4], 0)
    writer.close()
    told += tail.read()
    assert [(one["index"], one["type"], one["value"]) for one in told] == [
        (0, "invoke", 1), (1, "invoke", "x"), (2, "ok", "x"), (3, "invoke", 3), (4, "ok", 1), (5, "info", 3),
        (6, "invoke", [4]),
    ]  # fmt: skip
    ops = read(tmp_path / "h").ops
    assert [(op.index, op.value, op.result, op.completed_index) for op in ops] == [
        (slow, 1, 1, 4), (quick, "x", "x", 2), (later, 3, None, 5), (never, [4], None, None),
    ]  # fmt: skip
    assert [op.outcome for op in ops] == [Outcome.OK, Outcome.OK, Outcome.INFO, Outcome.INFO]


def test_many_small_batches_are_read_like_one(tmp_path: Path) -> None:
    small, large = Writer(tmp_path / "small"), Writer(tmp_path / "large")
    for n in range(300):
        for writer in (small, large):
            begun, _ = writer.invoke(n, "add", f"k{n}", n if n % 3 else f"v{n % 7}", 0)
            writer.end(begun, Outcome(n % 3), n, node=f"n{n % 2}", version=n)
        small._write()
    for writer in (small, large):
        writer.close()
    one, other = (read(tmp_path / name).ops for name in ("small", "large"))
    for ops in (one, other):
        for op in ops:
            op.invoked = op.completed = 0
    assert one == other
    assert (other[3].value, other[3].result, other[3].version, other[4].error) == ("v3", 3, 3, "")


def test_a_file_with_one_row_an_event_is_still_read() -> None:
    add, look, text, last = read(Path(__file__).parent / "recorded" / "one_row_an_event.arrows").ops
    assert (add.outcome, add.error, add.completed, look.invoked) == (
        Outcome.FAIL, "connection refused", 1600, 1200,
    )  # fmt: skip
    assert (look.result, look.version, look.node) == ([1, "x", 2**63], 3, "n1")
    assert (text.key, text.value, text.outcome, last.completed) == ("b", "text", Outcome.INFO, None)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"index": [0, 9]}, "numbers events that are not there"),
        ({"completed": [5, 1]}, "ends before it begins"),
        ({"other": [1, 2]}, "has not the columns index"),
    ],
)
def test_an_arrow_file_that_is_no_history_is_refused(
    tmp_path: Path, change: dict[str, list[int]], words: str
) -> None:
    writer = Writer(tmp_path / "h.arrows")
    for _ in range(2):
        writer.end(writer.invoke(0, "add", None, 1, 0)[0], Outcome.OK, 1)
    writer.close()
    with pa.ipc.open_stream(str(tmp_path / "h.arrows")) as stream:
        table = stream.read_all()
    for name, column in change.items():
        at = table.schema.get_field_index(name)
        if at < 0:
            table = pa.table({name: column})
        else:
            table = table.set_column(
                at, table.schema.field(name), pa.array(column, table.schema.field(name).type)
            )
    with pa.ipc.new_stream(str(tmp_path / "h.arrows"), table.schema) as out:
        out.write_table(table)
    with pytest.raises(BadInput, match=words):
        read(tmp_path / "h.arrows")


def test_a_file_without_a_single_batch_is_an_empty_history(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "h.arrows")
    assert len(read(tmp_path / "h.arrows")) == 0
    writer.close()
    assert len(read(tmp_path / "h.arrows")) == 0


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
        (
            [event(0, "invoke"), event(0, "info"), event(0, "invoke")],
            "line 3, history: process 0 acts after an info",
        ),
        ([event(0, "invoke"), event(0, "ok", f="read")], "began 'add' and ends 'read'"),
        (
            [event(0, "invoke", time=5), event(0, "ok", time=4)],
            "line 2, history: the time of process 0 runs back",
        ),
        ([event(0, "invoke"), '{"process": 0, "type": "ok", "f": "add"}'], "line 2, history: time must be"),
        (['{"time": 1.5, "process": 0, "type": "invoke", "f": "add"}'], "time must be a whole number"),
        (['{"time": 99999999999999999999, "process": 0, "type": "invoke", "f": "add"}'], "whole number"),
        ([event(0, "maybe")], "type must be invoke, ok, fail or info, not 'maybe'"),
        (['{"time": "now", "process": 0, "type": "invoke", "f": "add"}'], "time must be a whole number"),
        (['{"time": 1, "process": 0, "type": "invoke"}'], "f must name the operation"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, lines: list[str], words: str) -> None:
    with pytest.raises(BadInput) as caught:
        read(write(tmp_path / "h", *lines))
    assert words in str(caught.value)


def test_a_whole_last_line_without_its_end_is_read(tmp_path: Path) -> None:
    path = tmp_path / "h"
    path.write_text(f"{event(0, 'invoke')}\n{event(0, 'ok', time=3)}")
    assert read(path).ops[0].completed == 3


def test_without_any_times_the_order_in_the_file_is_the_time(tmp_path: Path) -> None:
    lines = [
        f'{{"process": {p}, "type": "{t}", "f": "add"}}' for p, t in ((0, "invoke"), (1, "invoke"), (0, "ok"))
    ]
    first, second = read(write(tmp_path / "h", *lines)).ops
    assert first.invoked < second.invoked < (first.completed or 0)


def test_true_is_not_one_and_null_is_no_value(tmp_path: Path) -> None:
    lines = [event(0, "invoke", value=v) for v in ("true",)] + [
        event(1, "invoke"),
        event(2, "invoke", value="null"),
    ]
    columns = read(write(tmp_path / "h", *lines)).columns
    assert len(set(columns.value)) == 3
    assert [columns.values.values[code] for code in columns.value] == [True, 1, None]


def test_one_odd_line_among_many_does_not_hide_the_others(tmp_path: Path) -> None:
    lines = [event(n, "invoke", time=n) for n in range(5000)]
    path = write(
        tmp_path / "h",
        *lines,
        "",
        event(0, "ok", time=9000),
        '{"process": "nemesis", "type": "info", "f": "x"}',
    )
    found = read(path)
    assert len(found) == 5000
    assert found.ops[0].completed_index == 5000
    with pytest.raises(BadInput, match="line 3000, history: is not JSON"):
        read(write(tmp_path / "h", *lines[:2999], "{]", *lines[3000:]))


EDN = """{:type :invoke, :f :cas, :value [1 2], :process 0, :time 10, :index 0}
#jepsen.history.Op{:index 1, :time 20, :type :info, :process :nemesis, :f :start-partition, :value {"n1" #{"n2"}}}
{:type :fail, :f :cas, :value [1 2], :process 0, :time 30, :error :mismatch, :index 2} ; answered
{:type :invoke, :f :txn, :value [[:append 5 1] [:r "k\\n" nil]], :process 1, :time 40, :index 3}
{:type :ok, :f :txn, :value [[:append 5 1] [:r "k\\n" [1N -2 3.5]]], :process 1, :time 50, :index 4}
"""


def test_the_history_of_jepsen_is_read_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "history.edn").write_text(EDN)
    cas, txn = read(tmp_path / "history.edn").ops
    assert (cas.f, cas.value, cas.outcome, cas.error, cas.completed) == (
        "cas",
        [1, 2],
        Outcome.FAIL,
        "mismatch",
        30,
    )
    assert txn.value == [["append", 5, 1], ["r", "k\n", None]]
    assert txn.result == [["append", 5, 1], ["r", "k\n", [1, -2, 3.5]]]


def test_one_vector_of_operations_without_an_extension_is_known_as_edn(tmp_path: Path) -> None:
    path = write(
        tmp_path / "h", "[{:process 0, :type :invoke, :f :read, :value nil}", "#_{:ignored true}", "]"
    )
    (op,) = read(path).ops
    assert (op.f, op.value, op.outcome) == ("read", None, Outcome.INFO)


def test_the_keys_of_independent_are_lifted_from_the_values(tmp_path: Path) -> None:
    text = "".join(
        f"{{:process {p}, :type {t}, :f {f}, :value {v}}}\n"
        for p, t, f, v in (
            (0, ":invoke", ":read", "[7 nil]"), (0, ":ok", ":read", "[7 3]"), (0, ":invoke", ":cas", "[8 [1 2]]"),
        )
    )  # fmt: skip
    (tmp_path / "h.edn").write_text(text)
    look, cas = read(tmp_path / "h.edn").ops
    assert (look.key, look.value, look.result) == (7, None, 3)
    assert (cas.key, cas.value) == (8, [1, 2])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{:process 0}\n{:process 1", "line 2, history: '{' is never closed"),
        ("{:process 0}\n\n)", "line 3, history: ')' closes what is not open"),
        ("{:process 0 :type}", "a map has a key without a value"),
        ("{:process 0]", "']' closes '{'"),
        ('{:process "0', "is not EDN"),
        ("7", "is not an operation"),
        (
            "{:process 0, :type :invoke, :f :read}\n{:process 0, :type :maybe, :f :read}",
            "line 2, history: type must be",
        ),
    ],
)
def test_what_is_wrong_in_edn_is_named_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "h.edn").write_text(text)
    with pytest.raises(BadInput) as caught:
        read(tmp_path / "h.edn")
    assert words in str(caught.value)


def test_versions_and_nodes_are_read_where_a_history_has_them(tmp_path: Path) -> None:
    lines = [
        '{"index": 0, "time": 1, "process": 0, "type": "invoke", "f": "read", "value": null, "node": "n1"}',
        '{"index": 1, "time": 2, "process": 0, "type": "ok", "f": "read", "value": 7, "version": 12}',
        '{"index": 2, "time": 3, "process": 0, "type": "invoke", "f": "write", "value": 8}',
        '{"index": 3, "time": 4, "process": 0, "type": "info", "f": "write", "value": 8, "version": 13}',
    ]
    found = read(write(tmp_path / "h", *lines))
    look, unsure = found.ops
    assert (look.version, look.node, unsure.version, unsure.node) == (12, "n1", None, "")
    again = History(found.ops).columns
    assert again.version is not None
    assert again.version.tolist() == [12, -1]
    for wrong, words in (('"version": -1', "version must be"), ('"node": 3', "node must be a name")):
        line = f'{{"time": 1, "process": 0, "type": "invoke", "f": "read", {wrong}}}'
        with pytest.raises(BadInput, match=words):
            read(write(tmp_path / "h", line))
