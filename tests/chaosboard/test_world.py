"""The map of everything, from rows."""

import pytest
from django.urls import reverse

from apps.runs.models import Event, Injection
from chaosboard.world import context
from tests.apps import factories
from tests.apps.addresses import state

__all__ = ["state"]
pytestmark = pytest.mark.django_db


def test_an_empty_map_teaches(admin_client):
    assert "Register a service" in admin_client.get(reverse("map")).content.decode()


def test_services_stand_by_how_far_they_are_from_those_nobody_needs():
    shop, orders, store = (factories.target(name) for name in ("shop", "orders", "store"))
    shop.depends_on.add(orders, store)
    orders.depends_on.add(store)
    levels = {s["name"]: s["level"] for s in context()["services"]}
    assert levels == {"shop": 0, "orders": 1, "store": 2}


def test_services_that_need_each_other_are_drawn_all_the_same():
    one, other = factories.target("one"), factories.target("other")
    one.depends_on.add(other)
    other.depends_on.add(one)
    assert len({s["level"] for s in context()["services"]}) <= 2


def test_a_node_leads_to_an_experiment_that_hurts_it(admin_client):
    target = factories.target()
    url = context()["services"][0]["nodes"][1]["url"]
    assert url == f"/experiments/add/?target={target.pk}&node=orders-n2"
    page = admin_client.get(url).content.decode()
    assert '<option value="orders-n2" selected>' in page


def test_what_is_hurt_and_cut_now_is_marked(admin_client):
    run = factories.run(state="running", phase="fault")
    Injection.objects.create(run=run, step="f0", node="orders-n1", line="cut", state="active")
    for n, state_of in ((1, "injecting"), (2, "active")):
        data = {"id": "f0", "state": state_of, "links": [["orders-n1", "orders-n2"]], "nodes": ["orders-n1"]}
        Event.objects.create(run=run, n=n, at=0.1, kind="fault", data=data)
    (service,) = context()["services"]
    assert service["cuts"] == [["orders-n1", "orders-n2"]]
    assert [node["hurt"] for node in service["nodes"]] == [True, False, False]
    assert "orders-n1 → orders-n2" in admin_client.get(reverse("map")).content.decode()
    Injection.objects.update(state="clean")
    assert context()["services"][0]["cuts"] == []


def test_who_answers_behind_a_balancer_is_told_while_a_run_watches_it(admin_client):
    shop, servers = factories.target("shop"), factories.target("servers")
    shop.depends_on.add(servers)
    run = factories.run(factories.experiment(shop), state="running")
    for n, answered in enumerate(
        ({"servers-n1": 1, "servers-n2": 2}, None, {"servers-n1": 2, "servers-n2": 3}), 1
    ):
        data = {"t": n, "width": 1.0, **({"answered": answered} if answered else {})}
        Event.objects.create(run=run, n=n, at=n, kind="interval", data=data)
    shares = {s["name"]: s["answered"] for s in context()["services"]}
    assert shares == {"shop": {"servers-n1": 0.375, "servers-n2": 0.625}, "servers": {}}
    assert "servers-n1 37.5" in admin_client.get(reverse("map")).content.decode()
