import json
from pathlib import Path

import pytest

from apps.runs import services, transitions
from apps.runs.models import Halt
from tests.apps import factories

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("sent")]


@pytest.fixture
def browser(client, person):
    client.force_login(person("ada"), backend="django.contrib.auth.backends.ModelBackend")
    return client


def embedded(response, id: str) -> dict:
    """The JSON that the page gives to its script."""
    text = response.content.decode().split(f'<script id="{id}" type="application/json">')[1]
    return json.loads(text.split("</script>")[0])


@pytest.mark.parametrize("address", ["/runs/", "/runs/1/", "/runs/1/report/", "/halt/"])
def test_who_is_not_logged_in_sees_nothing(client, address: str) -> None:
    response = client.get(address)
    assert response.status_code == 302
    assert response.url.startswith("/login/")


@pytest.mark.parametrize("address", ["/runs/1/abort/", "/halt/", "/halt/resume/"])
def test_who_is_not_logged_in_does_nothing(client, state: Path, address: str) -> None:
    assert client.post(address, {"reason": "x"}).url.startswith("/login/")
    assert not (state / "halt").exists()


def test_the_list_shows_the_newest_first_and_teaches_where_there_is_none(browser) -> None:
    assert "No run yet" in browser.get("/runs/").content.decode()
    experiment = factories.experiment()
    first, second = factories.run(experiment), factories.run(experiment)
    text = browser.get("/runs/").content.decode()
    assert text.index(f"run {second.pk}") < text.index(f"run {first.pk}")


def test_the_run_page_holds_all_events_so_far_and_where_the_rest_comes_from(browser) -> None:
    run = services.claim(factories.run().pk)
    transitions.store(run, factories.notes(1, 3))
    page = embedded(browser.get(f"/runs/{run.pk}/"), "run-data")
    assert [e["n"] for e in page["events"]] == [1, 2, 3]
    assert page["last"] == 3
    assert page["socket"] == f"/ws/runs/{run.pk}/"
    assert page["run"]["state"] == "running"


def test_text_from_a_system_cannot_leave_the_script_that_carries_it(browser) -> None:
    run = services.claim(factories.run().pk)
    events = factories.notes(1, 1)
    events[0].data["text"] = "</script><script>alert(1)</script>"
    transitions.store(run, events)
    response = browser.get(f"/runs/{run.pk}/")
    assert "<script>alert" not in response.content.decode()
    assert embedded(response, "run-data")["events"][0]["data"]["text"] == events[0].data["text"]


def test_a_run_that_is_not_there_is_not_found(browser) -> None:
    for address in ("/runs/99/", "/runs/99/report/", "/runs/99/report.json"):
        assert browser.get(address).status_code == 404
    assert browser.post("/runs/99/abort/").status_code == 404


def test_abort_asks_the_run_to_stop(browser) -> None:
    run = services.claim(factories.run().pk)
    assert browser.get(f"/runs/{run.pk}/abort/").status_code == 405
    assert browser.post(f"/runs/{run.pk}/abort/").url == f"/runs/{run.pk}/"
    run.refresh_from_db()
    assert run.stop_reason == "aborted by ada"


def test_halt_and_resume_from_the_page(browser, state: Path) -> None:
    response = browser.post("/halt/", {"reason": "fire", "next": "/runs/"}, follow=True)
    assert response.redirect_chain == [("/runs/", 302)]
    assert "fire" in response.content.decode()
    assert Halt.objects.get().by == "ada"
    response = browser.post("/halt/resume/", follow=True)
    assert "lifted" in response.content.decode()
    assert not (state / "halt").exists()


def test_a_halt_does_not_lead_to_another_site(browser) -> None:
    response = browser.post("/halt/", {"reason": "fire", "next": "https://example.org/"})
    assert response.url == "/halt/"


def test_a_halt_without_a_reason_is_answered_in_words(browser, state: Path) -> None:
    response = browser.post("/halt/", {"reason": " "})
    assert response.status_code == 400
    assert "is missing" in response.content.decode()
    assert not (state / "halt").exists()


def test_the_report_of_a_run_that_is_not_over_is_its_page(browser) -> None:
    run = factories.run()
    assert browser.get(f"/runs/{run.pk}/report/").url == f"/runs/{run.pk}/"
    assert browser.get(f"/runs/{run.pk}/report.json").status_code == 409


def test_a_run_that_must_wait_says_for_whom(browser) -> None:
    experiment = factories.experiment()
    first = services.claim(factories.run(experiment).pk)
    second = factories.run(experiment)
    text = browser.get(f"/runs/{second.pk}/").content.decode()
    assert f'<a href="/runs/{first.pk}/">run {first.pk}</a> hurts orders now' in text
    assert services.claim(second.pk) is None
