import pytest
from django.test import Client

from apps.experiments.models import Experiment
from apps.schedules.models import Schedule, Slot

FIELDS = {"cron": "30 2 * * 1-5", "timezone": "Europe/Berlin", "catch_up": "skip", "enabled": "on"}


def test_a_schedule_is_saved(ada: Client, dies: Experiment) -> None:
    answer = ada.post("/schedules/add/", {**FIELDS, "experiment": dies.pk})
    assert answer.url == "/schedules/"
    schedule = Schedule.objects.get()
    assert (schedule.cron, schedule.timezone, schedule.enabled) == ("30 2 * * 1-5", "Europe/Berlin", True)
    assert schedule.created_by == "ada"
    html = ada.get("/schedules/").content.decode()
    assert "At 02:30, Monday through Friday" in html


def test_an_empty_form_is_answered_in_words(ada: Client, dies: Experiment) -> None:
    html = ada.post("/schedules/add/", {}).content.decode()
    assert "which experiment" in html
    assert "is missing; write it like" in html
    assert not Schedule.objects.exists()


@pytest.mark.parametrize(
    ("field", "value", "says"), [("cron", "now and then", "3 fields"), ("timezone", "Moon", "no time zone")]
)
def test_bad_input_is_answered_at_its_field(
    ada: Client, dies: Experiment, field: str, value: str, says: str
) -> None:
    answer = ada.post("/schedules/add/", {**FIELDS, "experiment": dies.pk, field: value})
    assert says in " ".join(answer.context["form"].errors[field])
    assert not Schedule.objects.exists()


def test_the_next_times_are_shown_while_typing(ada: Client) -> None:
    html = ada.get(
        "/schedules/preview/", {"cron": "30 2 * * *", "timezone": "Europe/Berlin"}
    ).content.decode()
    assert "At 02:30" in html
    assert html.count("02:30 CE") == 5
    assert (
        "not right"
        in ada.get("/schedules/preview/", {"cron": "99 2 * * *", "timezone": "UTC"}).content.decode()
    )


def test_slots_show_what_became_of_them(ada: Client, dies: Experiment) -> None:
    schedule = Schedule.objects.create(experiment=dies, cron="0 3 * * *")
    Slot.objects.create(
        schedule=schedule, fire_time="2026-05-04T03:00Z", state="refused", reason="halted by bob"
    )
    for address in ("/schedules/", f"/schedules/{schedule.pk}/edit/"):
        assert "halted by bob" in ada.get(address).content.decode()


def test_deleting_asks_first(ada: Client, dies: Experiment) -> None:
    schedule = Schedule.objects.create(experiment=dies, cron="0 3 * * *")
    assert ada.get(f"/schedules/{schedule.pk}/delete/").status_code == 200
    assert ada.post(f"/schedules/{schedule.pk}/delete/").status_code == 302
    assert not Schedule.objects.exists()


def test_an_empty_page_teaches(ada: Client, db) -> None:
    assert "First, set up an experiment" in ada.get("/schedules/").content.decode()
