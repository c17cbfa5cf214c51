"""An interval is told as soon as all of it is known, and never before."""

from pathlib import Path

import pytest

from engine import follow
from engine.experiment import Experiment
from engine.follow import Follower
from engine.samples import Status, Writer

MS = 1_000_000
NODES = [{"name": f"n{i}", "address": f"127.0.0.1:{i}", "driver": {"memory": {}}} for i in (1, 2)]
DOCUMENT = {
    "name": "watched", "target": "sim", "targets": [{"name": "sim", "kind": "memory", "nodes": NODES}],
    "steady_state": [
        {"probe": {"memory": {"nodes": "all"}}, "every": "100ms", "timeout": "1s",
         "tolerance": {"availability": ">= 80%"}},
    ],
}  # fmt: skip
BEGIN, FIRST, WIDTH = 1_000_000 * MS, 1_000_020 * MS, 0.25  # looks at 20, 120, 220 | 320, 420 ms


class Watched:
    """A follower of two nodes at a time that is set by hand, and the file that it follows."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = BEGIN
        monkeypatch.setattr(follow, "now_ns", lambda: self.now)
        experiment = Experiment.from_dict(DOCUMENT)
        self.writer = Writer(folder / "samples.bin")
        self.follower = Follower(experiment, experiment.targets[0], folder, WIDTH)
        self.follower.begin(BEGIN)

    def looks(self, *numbers: int, nodes: tuple[int, ...] = (0, 1), status: Status = Status.OK) -> None:
        for number in numbers:
            for node in nodes:
                self.writer.add(FIRST + number * 100 * MS, MS, 0, node, status)
        self.writer.flush()

    def told(self, after_ms: float) -> list[int]:
        """The readings in each interval that is told when so many ms have passed since the beginning."""
        self.now = BEGIN + int(after_ms * MS)
        self.follower.read()
        return [data["probes"]["memory"]["total"] for _, data in self.follower.intervals()]


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    return Watched(tmp_path, monkeypatch)


def test_an_interval_whose_looks_were_all_answered_is_told_at_its_end(watched: Watched) -> None:
    watched.looks(0, 1, 2)
    assert watched.told(249) == []
    assert watched.told(310) == [3]


def test_an_interval_with_an_open_look_waits_until_its_time_is_over(watched: Watched) -> None:
    watched.looks(0, 1)
    watched.looks(2, nodes=(0,))
    watched.looks(3, 4)
    assert watched.told(1000) == []
    watched.looks(2, nodes=(1,), status=Status.TIMEOUT)
    assert watched.told(1230) == [3, 2]


def test_an_interval_of_which_nothing_came_is_told_when_nothing_can_come_any_more(watched: Watched) -> None:
    assert watched.told(1300) == []
    assert watched.told(1500) == [0]
