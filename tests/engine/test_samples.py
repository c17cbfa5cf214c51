"""Samples on disk: whole records only, each once, with the texts that they name."""

from pathlib import Path

from engine.samples import DTYPE, Tail, Writer, load, strings


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "samples.bin")
    writer.add(10, 5, 1, 2, 0)
    writer.add(20, 7, 0, 1, 3, "connection refused")
    writer.add(30, 7, 0, 1, 3, "connection refused")
    writer.close()
    found = load(tmp_path / "samples.bin")
    assert found.tolist() == [(10, 5, 1, 2, 0, 0), (20, 7, 0, 1, 3, 1), (30, 7, 0, 1, 3, 1)]
    assert strings(tmp_path / "strings.jsonl") == ["", "connection refused"]


def test_a_tail_gives_each_record_once_and_never_a_torn_one(tmp_path: Path) -> None:
    path = tmp_path / "samples.bin"
    writer = Writer(path)
    for i in range(10):
        writer.add(i, 0, 0, 0, 0)
    writer.close()
    whole = path.read_bytes()
    tail, seen = Tail(tmp_path / "growing.bin"), []
    for end in range(0, len(whole) + 1, 7):
        (tmp_path / "growing.bin").write_bytes(whole[:end])
        new = tail.read()
        seen += new["scheduled"].tolist()
        assert len(seen) == end // DTYPE.itemsize
    (tmp_path / "growing.bin").write_bytes(whole)
    assert [*seen, *tail.read()["scheduled"].tolist()] == list(range(10))


def test_a_file_that_is_not_there_yet_has_no_records(tmp_path: Path) -> None:
    assert len(load(tmp_path / "samples.bin")) == 0
    assert strings(tmp_path / "strings.jsonl") == [""]


def test_endlessly_many_different_errors_stay_within_the_numbers(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "samples.bin")
    for i in range(66_000):
        writer.add(i, 0, 0, 0, 1, f"error {i}")
    writer.close()
    texts = strings(tmp_path / "strings.jsonl")
    assert texts[int(load(tmp_path / "samples.bin")["error"][-1])] == "more different errors than are kept"
