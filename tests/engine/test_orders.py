"""A run obeys what people ask of it, or says in words why not."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine import undo
from engine.errors import Refused
from engine.events import Event
from engine.experiment import Experiment
from engine.faults import REGISTRY as FAULTS
from engine.orders import Extension, Note, Order
from engine.runner import run
from engine.target import Node

NODES = [{"name": "n1", "address": "127.0.0.1:1", "driver": {"memory": {}}}]


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CHAOSBOARD_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


def document(**more: Any) -> dict[str, Any]:
    return {
        "name": "asked", "target": "sim", "targets": [{"name": "sim", "kind": "memory", "nodes": NODES}],
        "steady_state": [{"probe": "memory", "every": "50ms", "tolerance": {"availability": ">= 1%"}}],
        "baseline": "1s", "recovery": {"timeout": "4s", "stable": "500ms"},
        "faults": [{"at": "0s", "for": "2s", "pause": {"nodes": ["n1"]}}], **more,
    }  # fmt: skip


class Asked:
    """Performs a run; `when(event)` says what is asked after each event."""

    def __init__(self, state: Path, when: Callable[[Event], list[Order]], **more: Any) -> None:
        self.events: list[Event] = []
        self.waiting: list[Order] = []
        self.when = when
        experiment = Experiment.from_dict(document(**more))
        run(experiment, experiment.targets[0], directory=state.parent / "run", state=state, emit=self.hear,
            stop=lambda: "", run_id="r", orders=self.give)  # fmt: skip

    def hear(self, events: list[Event]) -> None:
        self.events += events
        for event in events:
            self.waiting += self.when(event)

    def give(self) -> list[Order]:
        given, self.waiting = self.waiting, []
        return given

    def of(self, kind: str) -> list[Event]:
        return [e for e in self.events if e.kind == kind]

    def at(self, state: str) -> float:
        return next(e.at for e in self.of("fault") if e.data["state"] == state)


def hurts(event: Event) -> bool:
    return event.kind == "fault" and event.data["state"] == "active" and event.data["text"] != ""


def once(order: Order, when: Callable[[Event], bool]) -> Callable[[Event], list[Order]]:
    left = [order]
    return lambda event: [left.pop()] if left and when(event) else []


def test_a_fault_that_is_made_longer_ends_later_and_is_read_back(state: Path) -> None:
    done = Asked(state, once(Extension("ada", "f0", 2.0), hurts))
    (told,) = done.of("extension")
    assert (told.data["what"], told.data["seconds"], told.data["by"]) == ("f0", 2.0, "ada")
    assert "2.00 s longer, as ada asked" in told.data["text"]
    assert done.at("healing") >= 5.0  # the baseline, the two seconds that were planned, and two more
    assert done.at("clean") >= done.at("healing")


def test_more_than_a_run_may_grow_is_refused_in_words(state: Path) -> None:
    done = Asked(state, once(Extension("ada", "f0", 601.0), hurts))
    assert done.of("extension") == []
    (note,) = [e for e in done.of("note") if "refused" in e.data["text"]]
    assert note.data["text"].startswith("ada asked for")


def test_a_fault_is_not_made_longer_into_another_one(state: Path) -> None:
    faults = [{"at": f"{at}s", "for": "3s", "pause": {"nodes": ["n1"]}} for at in (0, 4)]
    done = Asked(state, once(Extension("ada", "f0", 1.5), hurts), faults=faults)
    assert any("Another fault begins before" in e.data["text"] for e in done.of("note"))


def test_a_recovery_that_is_made_longer_is_waited_for(state: Path) -> None:
    begins = lambda e: e.kind == "phase" and e.data["phase"] == "recovery"  # noqa: E731
    done = Asked(state, once(Extension("ada", "recovery", 1.0), begins))
    (told,) = done.of("extension")
    assert told.data["text"] == "the recovery may take 1.00 s longer, as ada asked"


def test_a_note_is_an_event_at_its_moment_with_who_wrote_it(state: Path) -> None:
    done = Asked(state, once(Note("ada", "it hums", 0.25), hurts))
    (note,) = [e for e in done.of("note") if e.data.get("by")]
    assert (note.at, note.data) == (0.25, {"level": "person", "text": "it hums", "by": "ada"})
    assert [e.n for e in done.events] == list(range(1, len(done.events) + 1))


@pytest.fixture
def paused(state: Path) -> Iterator[undo.UndoRecord]:
    """A process that is paused, with its record."""
    child = subprocess.Popen(["sleep", "600"])
    node = Node("n1", "127.0.0.1:1", "", "process", {"pid": child.pid})
    fault = FAULTS.get("pause")()
    record = undo.inject(state, undo.prepare(state, "r", "f0", "pause", fault, node, 30.0))
    yield record
    undo.heal(state, record.id)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()


def test_the_end_of_a_fault_is_on_disk_before_its_lease_is_renewed(
    state: Path, paused: undo.UndoRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = time.time() + 60
    seen: list[float] = []
    lease = undo._lease

    def noted(where: Path, id: str) -> None:
        found = undo.record_of(where, id)
        assert found
        seen.append(found.expires_at)
        lease(where, id)

    monkeypatch.setattr(undo, "_lease", noted)
    assert undo.prolong(state, paused, later).expires_at == later
    assert seen == [later]


def test_a_fault_that_was_healed_is_not_made_longer(state: Path, paused: undo.UndoRecord) -> None:
    undo.heal(state, paused.id)
    with pytest.raises(Refused, match="healed already"):
        undo.prolong(state, paused, time.time() + 60)


def test_a_fault_that_carries_its_own_end_is_refused(state: Path) -> None:
    assert "cannot be moved" in FAULTS.get("restart")().unmovable({})
    assert FAULTS.get("latency")(delay=0.1).unmovable({}) == ""
