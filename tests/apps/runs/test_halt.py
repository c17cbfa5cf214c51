import json
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import DatabaseError

from apps.runs import halting, services
from apps.runs.models import Halt, Injection, Run
from engine import undo
from engine.errors import BadInput, Refused
from engine.faults import REGISTRY as FAULTS
from engine.parameters import build
from tests.apps import factories


def hurt(state: Path, run: Run) -> undo.UndoRecord:
    """A node that is really paused, by a run that does nothing about it."""
    node = run.target.to_engine().nodes[0]
    fault = build(FAULTS.get("pause"), {}, "fault")
    record = undo.inject(state, undo.prepare(state, str(run.pk), "f0", "pause", fault, node, 60))
    Injection.objects.create(
        run=run, step="f0", node=node.name, record_id=record.id, line=record.line, state="active"
    )
    return record


@pytest.mark.django_db
def test_halt_stops_heals_and_refuses_until_it_is_lifted(state: Path, broker_down) -> None:
    experiment = factories.experiment()
    running, waiting = factories.run(experiment), factories.run(experiment)
    services.claim(running.pk)
    record = hurt(state, running)
    healed = services.halt("the pager rings", "ada")
    assert [(h.record.id, h.state) for h in healed] == [(record.id, "clean")]
    assert undo.records(state) == []
    running.refresh_from_db()
    waiting.refresh_from_db()
    assert running.stop_reason == "halted by ada: the pager rings"
    assert (waiting.state, waiting.ending) == ("done", "halted")
    with pytest.raises(Refused, match=r"halted by ada .*the pager rings"):
        services.request_run(experiment, by="bob")
    assert services.resume("bob")
    row = Halt.objects.get()
    assert (row.by, row.reason, row.lifted_by) == ("ada", "the pager rings", "bob")
    assert services.halted() is None
    services.request_run(experiment, by="bob")


@pytest.mark.django_db
def test_halt_heals_while_the_database_is_away(state: Path, monkeypatch) -> None:
    run = factories.run()
    hurt(state, run)

    def away(*_: object) -> None:
        raise DatabaseError("away")

    with monkeypatch.context() as patch:
        patch.setattr(halting, "_mark", away)
        patch.setattr(halting, "refresh", away)
        services.halt("fire", "ada")
    assert undo.records(state) == []
    assert json.loads((state / "halt").read_text())["by"] == "ada"
    assert not Halt.objects.exists()
    halting.reconcile()
    halting.reconcile()
    assert Halt.objects.get(lifted_at=None).reason == "fire"


@pytest.mark.django_db
def test_a_waiting_run_does_not_begin_while_halted(state: Path) -> None:
    run = factories.run()
    halting.files.write(state / "halt", {"at": "2026-01-01T00:00:00+00:00", "by": "ada", "reason": "fire"})
    services.execute(run.pk, perform=lambda *_a, **_k: pytest.fail("it began"))
    run.refresh_from_db()
    assert (run.state, run.ending) == ("done", "halted")


@pytest.mark.django_db
def test_a_halt_needs_a_reason(state: Path) -> None:
    with pytest.raises(BadInput, match="reason"):
        services.halt("  ", "ada")
    assert not (state / "halt").exists()


@pytest.mark.django_db
def test_a_second_halt_keeps_the_first_reason(state: Path) -> None:
    services.halt("first", "ada")
    services.halt("second", "bob")
    assert services.halted()["reason"] == "first"
    assert Halt.objects.count() == 1


@pytest.mark.django_db
def test_resuming_what_is_not_halted_says_so() -> None:
    assert not services.resume("ada")


@pytest.mark.django_db
def test_what_is_stuck_stays_listed_until_the_file_says_clean(state: Path) -> None:
    run = factories.run(state="done")
    record = hurt(state, run)
    Injection.objects.update(state="stuck")
    services.mirror.refresh()
    assert [h["state"] for h in services.hurt_now()] == ["active"]
    undo.heal(state, record.id)
    services.mirror.refresh()
    assert services.hurt_now() == []
    assert Injection.objects.get().state == "clean"


@pytest.mark.django_db
def test_an_injection_without_its_record_is_not_called_clean(state: Path) -> None:
    Injection.objects.create(run=factories.run(state="done"), step="f0", node="n1", line="x", state="active")
    services.mirror.refresh()
    assert [h["state"] for h in services.hurt_now()] == ["unverified"]


@pytest.mark.django_db
def test_the_commands_halt_and_resume(state: Path, capsys) -> None:
    with pytest.raises(CommandError):
        call_command("halt")
    call_command("halt", reason="fire", by="ada")
    assert services.halted()["by"] == "ada"
    call_command("resume", by="bob")
    assert services.halted() is None
    assert "The halt is lifted." in capsys.readouterr().out
