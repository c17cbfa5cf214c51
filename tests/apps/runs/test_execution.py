"""A run performed by the real engine on simulated nodes, and by engines that misbehave."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError
from django.utils import timezone

from apps.runs import execution, recorder, services, stopping, transitions
from apps.runs.models import Event, Run
from apps.runs.recorder import Recorder
from engine import state as files
from engine import undo
from engine.errors import Refused
from engine.events import Event as Reported
from engine.events import Log
from engine.faults import REGISTRY as FAULTS
from engine.parameters import build
from tests.apps import factories
from tests.waiting import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("sent")]
VERDICT = ("verdict", {"verdict": "held", "headline": "It held.", "ending": "finished"})
DONE = ("phase", {"phase": "done", "text": ""})


def result(**parts: Any) -> dict[str, Any]:
    return {"verdict": "held", "headline": "It held.", "ending": "finished", **parts}


def quiet(events: list[Reported]) -> Callable[..., dict[str, Any]]:
    def perform(*_: Any, emit: Callable[[list[Reported]], None], **_options: Any) -> dict[str, Any]:
        emit(events)
        return result()

    return perform


def numbers(run: Run) -> list[int]:
    return list(run.events.order_by("n").values_list("n", flat=True))


def silence(run: Run) -> None:
    Run.objects.filter(pk=run.pk).update(heartbeat_at=timezone.now() - timedelta(seconds=7))


@pytest.mark.systems
def test_the_engine_performs_a_run_from_its_stored_documents(state: Path) -> None:
    run = factories.run()
    services.execute(run.pk)
    run.refresh_from_db()
    assert (run.state, run.ending, run.verdict) == ("done", "finished", "held"), run.headline
    assert numbers(run) == list(range(1, run.events.count() + 1))
    assert run.events.last().data["phase"] == "done"
    assert [i.state for i in run.injections.all()] == ["clean"]
    assert undo.records(state) == []
    assert files.read(run.directory / "result.json") == run.result


def test_a_message_that_comes_twice_does_nothing_the_second_time() -> None:
    run = factories.run()
    calls = []

    def perform(*_: Any, **_options: Any) -> dict[str, Any]:
        calls.append(1)
        services.execute(run.pk, perform=perform)
        return result()

    services.execute(run.pk, perform=perform)
    services.execute(run.pk, perform=perform)
    assert calls == [1]


def test_the_verdict_is_stored_together_with_the_result() -> None:
    run = factories.run()
    seen = []

    def perform(*_: Any, emit: Callable[[list[Reported]], None], **_options: Any) -> dict[str, Any]:
        emit([*factories.notes(1, 2), Reported(3, 1.0, *VERDICT), Reported(4, 1.0, *DONE)])
        until(lambda: numbers(run) == [1, 2])
        seen.append(Run.objects.get(pk=run.pk).state)
        return result()

    services.execute(run.pk, perform=perform)
    run.refresh_from_db()
    assert seen == ["running"]
    assert numbers(run) == [1, 2, 3, 4]
    assert (run.state, run.headline) == ("done", "It held.")


def test_a_gap_in_the_numbers_is_a_defect_that_is_noticed() -> None:
    recording = Recorder(factories.run())
    recording(factories.notes(1, 2))
    with pytest.raises(ValueError, match="event 3 is missing"):
        recording(factories.notes(4, 4))


def test_a_database_that_is_away_for_a_while_loses_nothing(monkeypatch) -> None:
    run = services.claim(factories.run().pk)
    real, failures = transitions.store, []

    def store(*args: Any, **options: Any) -> None:
        if len(failures) < 3:
            failures.append(1)
            raise DatabaseError("away")
        real(*args, **options)

    monkeypatch.setattr(transitions, "store", store)
    monkeypatch.setattr(recorder, "TICK", 0.01)
    with Recorder(run) as recording:
        for n in range(1, 6):
            recording(factories.notes(n, n))
    assert recording.complete
    assert numbers(run) == [1, 2, 3, 4, 5]


def fault(n: int, state: str = "injecting", records: tuple[str, ...] = ()) -> Reported:
    data = {"id": "f0", "fault": "pause", "line": "pause orders-n1", "nodes": ["orders-n1"], "state": state}
    return Reported(n, 0.0, "fault", {**data, "records": list(records), "text": "", "expires_at": None})


def test_nothing_is_injected_before_the_database_knows_of_it(monkeypatch) -> None:
    run = services.claim(factories.run().pk)
    with Recorder(run) as recording:
        recording([fault(1)])
        assert run.injections.get().state == "injecting"

    def store(*_: Any, **_options: Any) -> None:
        raise DatabaseError("away")

    with monkeypatch.context() as patch:
        patch.setattr(transitions, "store", store)
        patch.setattr(recorder, "PATIENCE", 0.05)
        patch.setattr(recorder, "LAST_PATIENCE", 0.05)
        with Recorder(run, after=1) as recording, pytest.raises(Refused, match="nothing is injected"):
            recording([fault(2)])
    assert not recording.complete


def test_a_recorder_beats_while_the_engine_says_nothing(monkeypatch) -> None:
    monkeypatch.setattr(recorder, "BEAT", 0.01)
    run = services.claim(factories.run().pk)
    before = run.heartbeat_at
    with Recorder(run) as recording:
        until(lambda: Run.objects.get(pk=run.pk).heartbeat_at > before)
        assert recording.stop() == ""
        services.abort(run, "ada")
        until(lambda: recording.stop() == "aborted by ada")


def test_a_run_stops_when_its_worker_is_told_to(state: Path) -> None:
    recording = Recorder(factories.run())
    assert recording.stop() == ""
    stopping.tell(sig="SIGTERM")
    assert recording.stop() == "the worker was stopped"


def test_a_worker_that_was_told_to_stop_begins_nothing() -> None:
    run = factories.run()
    stopping.tell()
    services.execute(run.pk, perform=lambda *_a, **_k: pytest.fail("it began"))
    run.refresh_from_db()
    assert run.state == "queued"


def test_the_halt_file_stops_a_run_at_once(state: Path) -> None:
    recording = Recorder(factories.run())
    files.write(state / "halt", {"by": "ada", "reason": "fire"})
    assert recording.stop() == "halted by ada: fire"


def test_a_run_that_could_not_begin_says_why() -> None:
    run = factories.run()

    def perform(*_: Any, **_options: Any) -> dict[str, Any]:
        raise Refused("n1 belongs to the board.")

    services.execute(run.pk, perform=perform)
    run.refresh_from_db()
    assert (run.state, run.ending, run.verdict) == ("done", "failed", "unknown")
    assert run.headline == "Never begun: n1 belongs to the board."
    assert numbers(run) == [1, 2, 3]


def test_a_defect_of_the_engine_ends_the_run_and_heals(state: Path) -> None:
    run = factories.run()

    def perform(*_: Any, directory: Path, emit: Any, **_options: Any) -> dict[str, Any]:
        begin(directory, emit)
        hurt(state, run)
        raise ZeroDivisionError

    services.execute(run.pk, perform=perform)
    run.refresh_from_db()
    assert (run.state, run.ending, run.verdict) == ("done", "failed", "unknown")
    assert undo.records(state) == []
    assert numbers(run) == list(range(1, run.events.count() + 1))


def begin(directory: Path, emit: Callable[[list[Reported]], None]) -> None:
    directory.mkdir(parents=True)
    log = Log(directory / "events.jsonl", emit)
    log.add("note", 0.0, level="info", text="begun")
    log.close()


def hurt(state: Path, run: Run) -> undo.UndoRecord:
    node = run.target.to_engine().nodes[0]
    pause = build(FAULTS.get("pause"), {}, "fault")
    return undo.inject(state, undo.prepare(state, str(run.pk), "f0", "pause", pause, node, 60))


def killed_in_the_middle(state: Path) -> tuple[Run, undo.UndoRecord]:
    """A run whose worker was killed with a node paused, two events in the database, four in the file."""
    run = services.claim(factories.run().pk)
    run.directory.mkdir(parents=True)
    record = hurt(state, run)
    log = Log(run.directory / "events.jsonl", lambda events: None)
    log.add("run", 0.0, name=run.name)
    log.add("note", 0.0, level="info", text="begun")
    for what in ("injecting", "active"):
        log.add("fault", 1.0, **fault(0, what, (record.id,)).data)
    log.close()
    with open(run.directory / "events.jsonl", "ab") as file:
        file.write(b'{"n": 5, "at": 2.0, "ki')
    stored = [Reported(1, 0.0, "run", {}), Reported(2, 0.0, "note", {"level": "info", "text": "begun"})]
    transitions.store(run, stored)
    silence(run)
    return run, record


def test_the_run_of_a_killed_worker_is_healed_judged_and_ended(state: Path) -> None:
    run, record = killed_in_the_middle(state)
    assert services.reap() == 1
    assert undo.records(state) == []
    assert undo.record_of(state, record.id).state == "clean"
    run.refresh_from_db()
    assert (run.state, run.verdict) == ("done", "unknown")
    assert run.ending in ("aborted", "failed")  # failed where there is nothing that could be judged
    assert numbers(run) == list(range(1, run.events.count() + 1))
    assert [e.data["state"] for e in run.events.filter(kind="fault")] == ["injecting", "active", "clean"]
    assert "worker was lost" in run.events.filter(kind="note").last().data["text"]
    assert run.events.last().data["phase"] == "done"
    assert [i.state for i in run.injections.all()] == ["clean"]
    assert services.reap() == 0


def test_a_second_reaper_does_nothing(state: Path) -> None:
    run, _ = killed_in_the_middle(state)
    stale = Run.objects.get(pk=run.pk)
    assert services.reap() == 1
    assert not transitions.take_over(stale)


def test_a_run_that_beats_is_left_alone() -> None:
    services.claim(factories.run().pk)
    assert services.reap() == 0


def test_a_worker_that_died_before_it_wrote_anything_leaves_a_truthful_end(state: Path) -> None:
    run = services.claim(factories.run().pk)
    silence(run)
    assert services.reap() == 1
    run.refresh_from_db()
    assert (run.ending, run.verdict) == ("aborted", "unknown")
    assert "worker was lost" in run.headline


def test_a_result_that_was_complete_when_the_worker_died_is_kept(state: Path) -> None:
    run = services.claim(factories.run().pk)
    run.directory.mkdir(parents=True)
    log = Log(run.directory / "events.jsonl", lambda events: None)
    log.add("verdict", 1.0, verdict="held", headline="It held.", ending="finished")
    log.add(DONE[0], 1.0, **DONE[1])
    log.close()
    files.write(run.directory / "result.json", result())
    silence(run)
    assert services.reap() == 1
    run.refresh_from_db()
    assert (run.ending, run.verdict, run.headline) == ("finished", "held", "It held.")
    assert numbers(run) == [1, 2]


def test_a_worker_that_wakes_up_late_notices_and_stops(state: Path, monkeypatch) -> None:
    monkeypatch.setattr(recorder, "BEAT", 0.01)
    run = factories.run()
    said = []

    def perform(*_: Any, emit: Any, stop: Callable[[], str], **_options: Any) -> dict[str, Any]:
        emit(factories.notes(1, 1))
        until(lambda: numbers(run) == [1])
        silence(run)
        frozen = Run.objects.get(pk=run.pk)
        # the sign of life may come first; then it is silent again
        until(lambda: silence(run) or frozen.refresh_from_db() or transitions.take_over(frozen))
        until(stop)
        said.append(stop())
        emit(factories.notes(2, 2))
        with pytest.raises(Refused, match="taken the run over"):
            emit([fault(3)])
        return result()

    services.execute(run.pk, perform=perform)
    run.refresh_from_db()
    assert said == ["another process has taken the run over"]
    assert (run.state, run.result) == ("running", None)
    assert run.worker.startswith("reaper@")
    assert numbers(run) == [1]


def test_a_directory_of_another_database_is_put_aside(state: Path) -> None:
    run = factories.run()
    run.directory.mkdir(parents=True)
    (run.directory / "events.jsonl").write_text("of another run")
    services.execute(run.pk, perform=quiet(factories.notes(1, 2)))
    assert numbers(run) == [1, 2]
    assert not (run.directory / "events.jsonl").exists()


def test_an_abort_of_a_lost_run_is_kept_as_its_reason(state: Path) -> None:
    run = services.claim(factories.run().pk)
    services.abort(run, "ada")
    silence(run)
    services.tick()
    run.refresh_from_db()
    assert (run.ending, run.headline) == ("aborted", "Never begun: aborted by ada")
    assert Event.objects.filter(run=run).count() == 3


def test_the_reaper_waits_for_six_seconds() -> None:
    assert timedelta(seconds=6) == execution.LOST_AFTER
