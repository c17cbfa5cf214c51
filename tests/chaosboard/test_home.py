from datetime import timedelta

import pytest
from django.conf import settings
from django.urls import reverse
from django.utils import timezone

from apps.runs.models import Injection
from apps.schedules.models import Schedule
from apps.targets.models import Node
from chaosboard.home import context
from tests.apps import factories
from tests.apps.addresses import state

__all__ = ["state"]
pytestmark = pytest.mark.django_db


def test_an_empty_board_teaches(admin_client):
    assert "Register a service" in admin_client.get(reverse("home")).content.decode()


def test_a_service_shows_its_last_verdict_and_how_fast_it_recovers():
    result = {"recovery": {"time_to_recover_from_injected": 1.4}}
    run = factories.run(state="done", verdict="held", result=result)
    (row,) = context()["services"]
    assert (row["last_run"], row["recovers_in"], row["uptime"]) == (run, 1.4, None)


def test_a_run_that_somebody_stopped_hides_no_broken_promise():
    experiment = factories.experiment()
    broken = factories.run(
        experiment, state="done", verdict="violated", ending="finished", headline="2 writes are gone."
    )
    factories.run(experiment, state="done", verdict="unknown", ending="aborted")
    found = context()
    assert found["services"][0]["last_run"] == broken
    assert [need["text"] for need in found["needs"]] == [f"{broken.target.name}: 2 writes are gone."]


def test_what_waits_and_runs_is_shown(admin_client):
    run = factories.run(state="running", phase="fault")
    (item,) = context()["running"]
    assert item["run"] == run
    assert run.name in admin_client.get(reverse("home")).content.decode()


def test_what_comes_next_is_sorted():
    experiment = factories.experiment()
    Schedule.objects.create(experiment=experiment, cron="0 3 * * *")
    Schedule.objects.create(experiment=experiment, cron="* * * * *")
    Schedule.objects.create(experiment=experiment, cron="* * * * *", enabled=False)
    found = [item["when"] for item in context()["upcoming"]]
    assert found == sorted(found)
    assert found[0] - timezone.now() < timedelta(minutes=1)


def test_a_node_that_is_down_needs_someone_unless_it_is_being_hurt():
    run = factories.run(state="running")
    Node.objects.filter(name="orders-n2").update(up=False, answer="connection refused")
    assert "orders-n2 does not answer" in context()["needs"][0]["text"]
    Injection.objects.create(run=run, step="f0", node="orders-n2", line="kill orders-n2", state="active")
    assert context()["needs"] == []


def test_a_run_says_how_far_it_is(admin_client):
    factories.run(state="running", phase="fault", started_at=timezone.now() - timedelta(seconds=2))
    (item,) = context()["running"]
    assert item["total"] == 7.0  # 1 s baseline, 1 s fault, 5 s for recovery at most
    assert 2 <= item["passed"] <= item["total"]
    assert item["faults"] == [{"from": 14.29, "wide": 14.29}]
    assert "of at most 7.00 s" in admin_client.get(reverse("home")).content.decode()


def test_a_node_that_is_down_while_its_service_recovers_needs_nobody():
    factories.run(state="running", phase="recovery")
    Node.objects.filter(name="orders-n2").update(up=False)
    assert context()["needs"] == []


RESULT = {
    "faults": [{"name": "pause", "injected_at": 1.0}],
    "recovery": {"time_to_recover_from_injected": 1.5},
    "expectations": [{"name": "recovers", "verdict": "held", "expected": "≤ 5 s"}],
    "checks": [],
}


def test_a_service_has_a_score_with_its_parts_on_its_page(admin_client):
    now = timezone.now()
    run = factories.run(state="done", verdict="held", result=RESULT, finished_at=now)
    (row,) = context()["services"]
    assert [round(part.points) for part in row["score"].parts][:3] == [40, 20, 0]
    page = admin_client.get(reverse("targets:detail", args=[run.target_id])).content.decode()
    assert "1 of 1 faults held" in page
    assert "no workload has written to it while it was hurt" in page
    (line,) = context()["trend"]
    assert (line["name"], line["y"], line["runs"]) == ("orders", [1.5], [run.pk])


def test_a_service_that_was_not_tested_has_no_score_and_no_trend(admin_client):
    factories.run(state="done", verdict="unknown", result=RESULT, finished_at=timezone.now())
    (row,) = context()["services"]
    assert (row["score"].total, row["recovers"]) == (None, "never tested")
    assert context()["trend"] == []


def test_a_score_that_ages_needs_someone():
    long_ago = timezone.now() - timedelta(days=40)
    factories.run(state="done", verdict="held", result=RESULT, finished_at=long_ago)
    assert context()["needs"][0]["text"] == "orders has not been tested for 40 days"


def test_the_demo_is_one_click_away(admin_client, state):
    assert "Try it on the demo" in admin_client.get(reverse("home")).content.decode()
    assert admin_client.post(reverse("start_demo")).status_code == 302
    assert (settings.CHAOSBOARD_STATE / "demo-asked").exists()
    assert admin_client.get(reverse("start_demo")).status_code == 405


def test_what_stuck_or_broke_its_promise_needs_someone(admin_client):
    run = factories.run(state="done", verdict="violated", headline="37 writes are gone")
    Injection.objects.create(
        run=run, step="f0", node="n1", line="pause n1", state="stuck", text="still stopped"
    )
    texts = " ".join(need["text"] for need in context()["needs"])
    assert "pause n1 is stuck. still stopped" in texts
    assert "37 writes are gone" in texts
    assert admin_client.get(reverse("home")).status_code == 200


def test_every_page_forbids_what_is_not_its_own(client):
    policy = client.get(reverse("login")).headers["Content-Security-Policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy


def test_a_name_that_the_board_does_not_go_by_is_answered_with_the_remedy(client):
    response = client.get("/", headers={"Host": "evil.example"})
    assert response.status_code == 400
    assert "ALLOWED_HOSTS" in response.content.decode()
