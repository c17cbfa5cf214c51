import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from apps.experiments.models import Experiment
from apps.runs.models import Run
from apps.runs.services import halt, resume
from apps.schedules import services
from apps.schedules.models import Schedule, Slot
from engine.errors import BadInput
from tests.apps.schedules.conftest import make_experiment

NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


def schedule(experiment: Experiment, cron: str = "0 * * * *", **more: object) -> Schedule:
    given = {"since": NOON - MINUTE, "created_by": "ada", **more}
    return Schedule.objects.create(experiment=experiment, cron=cron, **given)


def states(of: Schedule) -> list[str]:
    return [slot.state for slot in of.slots.order_by("fire_time")]


def test_nothing_happens_before_its_time(dies: Experiment) -> None:
    schedule(dies)
    assert services.tick(NOON - SECOND) == []
    assert not Run.objects.exists()


def test_a_slot_starts_one_run_and_the_next_ticks_start_none(dies: Experiment) -> None:
    hourly = schedule(dies)
    for i in range(5):
        services.tick(NOON + i * SECOND)
    (run,) = Run.objects.all()
    slot = hourly.slots.get()
    assert (slot.state, slot.run, slot.fire_time) == ("started", run, NOON)
    assert (run.requested_by, run.trigger) == ("ada", f"schedule {hourly.pk}")


def test_the_time_zone_says_when(dies: Experiment) -> None:
    berlin = schedule(dies, "0 14 * * *", timezone="Europe/Berlin")
    services.tick(NOON)
    assert states(berlin) == ["started"]


def test_a_disabled_schedule_rests(dies: Experiment) -> None:
    schedule(dies, enabled=False)
    assert services.tick(NOON) == []


def test_missed_slots_are_recorded_and_not_started(dies: Experiment) -> None:
    hourly = schedule(dies)
    services.tick(NOON + 3 * HOUR + 5 * MINUTE)
    assert states(hourly) == ["missed"] * 4
    assert "later" in hourly.slots.first().reason
    assert not Run.objects.exists()


def test_the_newest_slot_starts_though_older_ones_were_missed(dies: Experiment) -> None:
    hourly = schedule(dies)
    services.tick(NOON + 2 * HOUR + 30 * SECOND)
    assert states(hourly) == ["missed", "missed", "started"]


def test_a_schedule_may_catch_up_with_the_newest_one(dies: Experiment) -> None:
    hourly = schedule(dies, catch_up="newest")
    services.tick(NOON + 2 * HOUR + 30 * MINUTE)
    assert states(hourly) == ["missed", "missed", "started"]


def test_a_long_absence_is_told_shortly(dies: Experiment) -> None:
    minutely = schedule(dies, "* * * * *")
    services.tick(NOON + timedelta(days=200, seconds=70))
    assert 90 <= minutely.slots.count() <= 101
    assert "Earlier" in minutely.slots.order_by("fire_time").first().reason


def test_a_halted_board_refuses_in_words(dies: Experiment) -> None:
    hourly = schedule(dies)
    halt("checkout fails", by="bob")
    services.tick(NOON)
    slot = hourly.slots.get()
    assert slot.state == "refused"
    assert "checkout fails" in slot.reason
    assert not Run.objects.exists()
    resume(by="bob")
    services.tick(NOON + HOUR)
    assert states(hourly) == ["refused", "started"]


def test_a_busy_service_refuses_in_words(dies: Experiment) -> None:
    hourly = schedule(dies)
    run = Run.objects.create(version=dies.current, target=dies.target, target_document={}, state="running")
    services.tick(NOON)
    assert f"run {run.pk}" in hourly.slots.get().reason
    assert states(hourly) == ["refused"]


def test_an_archived_experiment_is_refused(dies: Experiment) -> None:
    hourly = schedule(dies)
    Experiment.objects.update(archived=True)
    services.tick(NOON)
    assert "archived" in hourly.slots.get().reason


def test_a_broken_schedule_does_not_stop_the_others(dies: Experiment) -> None:
    schedule(dies, "not a cron line")
    good = schedule(dies)
    services.tick(NOON)
    assert states(good) == ["started"]


def test_times_before_a_change_are_not_missed_ones(dies: Experiment) -> None:
    hourly = schedule(dies, since=NOON - 50 * HOUR)
    services.save_schedule({"cron": "30 * * * *"}, by="ada", instance=hourly)
    assert services.tick() == []
    assert not Slot.objects.filter(state="missed").exists()


@pytest.mark.parametrize(
    ("data", "where"),
    [
        ({"cron": "x"}, "cron"),
        ({"timezone": "Mars/Base"}, "timezone"),
        ({"experiment": "nobody"}, "experiment"),
        ({"catch_up": "all"}, "catch_up"),
        ({"enabled": "maybe"}, "enabled"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_bad_input_is_named_and_nothing_is_stored(dies: Experiment, data: dict, where: str) -> None:
    with pytest.raises(BadInput) as caught:
        services.save_schedule({"experiment": dies.name, "cron": "0 3 * * *", **data}, by="ada")
    assert [p.where for p in caught.value.problems] == [where]
    assert not Schedule.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_two_schedulers_start_each_slot_once() -> None:
    hourly = schedule(make_experiment())
    slots, schedulers = 10, 2
    together = threading.Barrier(schedulers)
    errors: list[BaseException] = []

    def beat() -> None:
        try:
            for i in range(slots):
                together.wait(20)
                services.tick(NOON + i * HOUR)
                together.wait(20)
                Run.objects.update(state="done")
        except BaseException as error:  # told to the test, which fails with it
            errors.append(error)
            together.abort()
        finally:
            connection.close()

    threads = [threading.Thread(target=beat) for _ in range(schedulers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    assert states(hourly) == ["started"] * slots
    assert Run.objects.count() == slots
