"""Looks, as they come, into bars, uptime and incidents; time is given, nobody waits."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from apps.monitors import keeping, uptime
from apps.monitors.models import Bucket, Incident
from apps.runs.models import Injection
from apps.targets.models import Target
from tests.apps import factories
from tests.apps.addresses import state

__all__ = ["state"]
pytestmark = pytest.mark.django_db

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def look(target: Target, at: float, *answers: bool) -> None:
    """At `at` seconds after the start; one answer a node."""
    nodes = [
        {"name": f"n{i}", "reachable": up, "answer": "" if up else "refused"} for i, up in enumerate(answers)
    ]
    keeping.keep({target: {"nodes": nodes}}, START + timedelta(seconds=at))


def looks(target: Target, start: int, end: int, *answers: bool) -> None:
    for at in range(start, end, 5):
        look(target, at, *answers)


def seen(target: Target, at: float) -> uptime.Seen:
    return uptime.seen([target], START + timedelta(seconds=at))[target.pk]


def test_what_was_never_seen_is_unknown():
    found = seen(factories.target(), 0)
    assert found.bars == ["none"] * 30
    assert (found.hour.share, found.day.share, found.month.share) == (None, None, None)


def test_ten_minutes_of_looks_are_ten_rows_and_one_of_the_hour():
    target = factories.target()
    looks(target, 0, 600, True, True)
    assert Bucket.objects.filter(span=60).count() == 10
    assert Bucket.objects.filter(span=3600).get().up == 120


def test_uptime_is_the_share_of_looks_and_says_of_how_much_it_speaks():
    target = factories.target()
    looks(target, 0, 540, True, True)
    looks(target, 540, 600, False, False)
    found = seen(target, 600)
    assert found.hour.share == pytest.approx(0.9)
    assert found.hour.of == "of 10 min seen"
    assert found.bars[-2:] == ["down", "none"]
    assert found.bars.count("up") == 4


def test_a_gap_while_the_board_was_off_is_no_uptime():
    target = factories.target()
    looks(target, 0, 60, True, True)
    looks(target, 1800, 1860, False, False)
    found = seen(target, 1860)
    assert found.hour.share == pytest.approx(0.5)
    assert found.hour.seen == 120
    assert set(found.bars[-15:-2]) == {"none"}


def test_a_service_that_lost_a_node_answers_still():
    target = factories.target()
    looks(target, 0, 120, True, False)
    found = seen(target, 119)
    assert found.hour.share == 1.0
    assert found.bars[-1] == "part"
    assert Incident.objects.get().status == "part"


def running(target: Target, **row: Any) -> None:
    factories.run(factories.experiment(target), state="running", **row)


def test_what_an_experiment_did_is_marked_and_counts_neither_way():
    target = factories.target()
    looks(target, 0, 120, True, True)
    running(target, phase="fault")
    looks(target, 120, 240, False, False)
    found = seen(target, 239)
    assert found.bars[-2:] == ["up", "hurt"]
    assert found.hour.share == 1.0
    assert Incident.objects.get().hurt is True


def test_a_run_that_only_looks_does_not_excuse_an_outage():
    target = factories.target()
    running(target, phase="baseline")
    looks(target, 0, 120, False, False)
    assert seen(target, 119).hour.share == 0.0
    assert Incident.objects.get().hurt is False


def test_a_fault_that_is_stuck_is_still_ours():
    target = factories.target()
    run = factories.run(factories.experiment(target), state="done")
    Injection.objects.create(run=run, step="f0", node="n1", line="kill n1", state="stuck")
    looks(target, 0, 120, False, True)
    assert Incident.objects.get().hurt is True


def test_an_incident_outlives_the_hurting_as_one_of_its_own():
    target = factories.target()
    running(target, phase="recovery")
    look(target, 0, False)
    target.runs.update(state="done", phase="")
    look(target, 5, False)
    assert Incident.objects.get().hurt is False


def test_flips_become_incidents_with_their_ends():
    target = factories.target()
    for at, up in ((0, True), (5, False), (10, False), (15, True), (20, False)):
        look(target, at, up)
    newest, oldest = Incident.objects.all()
    assert (oldest.lasted, oldest.answer, oldest.status) == (10.0, "n0: refused", "down")
    assert newest.ended_at is None


def test_old_rows_go():
    target = factories.target()
    look(target, -3 * 86400, True)
    look(target, -401 * 86400, True)
    for i in range(502):
        at = START - timedelta(days=9, minutes=i)
        Incident.objects.create(target=target, status="down", began_at=at, seen_at=at, ended_at=at)
    look(target, 0, True)
    assert Bucket.objects.filter(span=60).count() == 1
    assert Bucket.objects.filter(span=3600).count() == 2
    assert Incident.objects.count() == 500
