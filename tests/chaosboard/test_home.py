from datetime import timedelta

import pytest
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


def test_what_waits_and_runs_is_shown(admin_client):
    run = factories.run(state="running", phase="fault")
    assert list(context()["running"]) == [run]
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
