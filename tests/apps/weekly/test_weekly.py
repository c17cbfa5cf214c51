from datetime import UTC, datetime, timedelta

import pytest
from django.core import mail

from apps.runs.models import Figures
from apps.weekly import services
from apps.weekly.models import Sent, Wish
from apps.weekly.summary import week
from tests.apps import factories
from tests.apps.weekly.sink import sink

pytestmark = pytest.mark.django_db
MONDAY = datetime(2026, 11, 23, 8, tzinfo=UTC)


@pytest.fixture
def wish(django_user_model) -> Wish:
    user = django_user_model.objects.create_user("ada", "ada@example.org")
    return Wish.objects.create(user=user, wanted=True, address=user.email)


def ran(experiment, at: datetime, **row) -> Figures:
    run = factories.run(experiment, state="done")
    values = {
        "verdict": "held",
        "ending": "finished",
        "recover": 2.0,
        "uncertainty": 0.1,
        "availability": 0.99,
        **row,
    }
    return Figures.objects.create(
        run=run, experiment=experiment, target=experiment.target, at=at, version=1, target_print="x", **values
    )


@pytest.mark.parametrize(
    ("now", "zone", "expected"),
    [
        ("2026-11-23T08:00+00:00", "UTC", "2026-11-23T08:00+00:00"),
        ("2026-11-23T07:59+00:00", "UTC", "2026-11-16T08:00+00:00"),
        ("2026-11-29T23:00+00:00", "UTC", "2026-11-23T08:00+00:00"),
        ("2026-11-23T07:00+00:00", "Europe/Paris", "2026-11-23T07:00+00:00"),
        ("2026-07-06T06:00+00:00", "Europe/Paris", "2026-07-06T06:00+00:00"),
        ("2026-11-22T20:00+00:00", "Pacific/Auckland", "2026-11-22T19:00+00:00"),
    ],
)  # fmt: skip
def test_a_week_ends_on_the_day_and_hour_of_the_persons_own_clock(now: str, zone: str, expected: str) -> None:
    found = services.due(Wish(timezone=zone, day=0, hour=8), datetime.fromisoformat(now))
    assert found == datetime.fromisoformat(expected)


def test_a_summary_is_sent_once_however_often_the_tick_comes(wish: Wish) -> None:
    assert [services.tick(MONDAY + timedelta(minutes=m)) for m in (-1, 0, 0, 5, 600)] == [0, 1, 0, 0, 0]
    assert services.tick(MONDAY + timedelta(days=7)) == 1
    assert [m.to for m in mail.outbox] == [["ada@example.org"]] * 2
    assert list(Sent.objects.values_list("week", flat=True)) == ["2026-W49", "2026-W48"]


def test_who_moves_the_day_within_a_week_does_not_get_it_twice(wish: Wish) -> None:
    assert services.tick(MONDAY) == 1
    wish.day = 2
    wish.save()
    assert services.tick(MONDAY + timedelta(days=2)) == 0


def test_nothing_is_sent_late_nor_for_the_time_before_it_was_wanted(wish: Wish) -> None:
    assert services.tick(MONDAY + timedelta(days=3)) == 0
    wish.since = MONDAY + timedelta(hours=1)
    wish.save()
    assert services.tick(MONDAY + timedelta(hours=2)) == 0
    assert services.tick(MONDAY + timedelta(days=7)) == 1


def test_what_could_not_be_sent_says_why_and_is_not_tried_twice(wish: Wish, settings) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    assert services.tick(MONDAY) == 0
    assert "refused" in Sent.objects.get().error


def test_the_mail_tells_what_was_tested_got_worse_and_is_untested(wish: Wish) -> None:
    experiment = factories.experiment()
    factories.target("billing")
    for days in (10, 20):
        ran(experiment, MONDAY - timedelta(days=days))
    bad = ran(experiment, MONDAY - timedelta(days=1), verdict="violated", recover=4.0, availability=0.9)
    ran(experiment, MONDAY, verdict="violated")
    services.tick(MONDAY)
    (sent,) = mail.outbox
    assert sent.subject == "[chaosboard] 1 run: 1 violated; 1 experiment got worse"
    html, kind = sent.alternatives[0]
    assert kind == "text/html"
    for text in (sent.body, html):
        assert "a promise was broken that had held for four weeks" in text
        assert "recovers in 4.00 s, before in 2.00 s" in text
        assert f"/runs/{bad.run_id}/report/" in text
        assert "billing" in text
        assert "never tested" in text


def test_a_mail_arrives_with_text_and_with_html_that_loads_nothing(wish: Wish, settings) -> None:
    ran(factories.experiment(), MONDAY - timedelta(days=1), verdict="unknown", recover=None)
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    with sink() as server:
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
        assert services.tick(MONDAY) == 1
    (letter,) = server.letters
    assert (letter["To"], letter["Subject"]) == (
        "ada@example.org",
        "[chaosboard] 1 run: 1 unknown",
    )
    text, html = (letter.get_body((kind,)) for kind in ("plain", "html"))
    assert text
    assert html
    for part in (text.get_content(), html.get_content()):
        assert "1 unknown" in part
        assert "0 held" not in part
        assert "http://localhost:8000/weekly/" in part
    assert "<style>" in html.get_content()
    assert not [word for word in ("<link", "src=", "url(", "@import") if word in html.get_content()]


def test_a_week_without_runs_says_so() -> None:
    found = week(MONDAY)
    assert found.subject == "Nothing was tested this week"
    assert (found.tested, found.worse, found.untested) == ([], [], [])


def test_the_wish_is_kept_by_its_page_and_the_mail_can_be_seen(client, django_user_model) -> None:
    client.force_login(
        django_user_model.objects.create_user("ada"), backend="django.contrib.auth.backends.ModelBackend"
    )
    form = {
        "wanted": "on",
        "address": "ada@example.org",
        "day": "4",
        "hour": "17",
        "timezone": "Europe/Paris",
    }
    assert client.post("/weekly/", {**form, "timezone": "Mars"}).status_code == 400
    assert client.post("/weekly/", {**form, "address": ""}).status_code == 400
    assert client.post("/weekly/", form).status_code == 302
    assert str(Wish.objects.get()) == "ada: Friday 17:00 Europe/Paris"
    assert "WHAT IS UNTESTED" in client.get("/weekly/preview/?as=text").content.decode()
    seen = client.get("/weekly/preview/")
    assert "What got worse" in seen.content.decode()
    assert "<style" not in seen.content.decode()  # which the policy of the board would not let the page use
    assert "Nothing was tested this week" in client.get("/weekly/").content.decode()
