import json
from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import Token
from apps.experiments.models import Experiment
from apps.runs import queueing, services
from apps.runs.models import Run
from apps.targets.models import Target
from engine import undo
from engine.document import dump
from engine.faults.kill import Kill
from engine.target import Node
from tests.apps import factories
from tests.apps.addresses import answering, silent, state

__all__ = ["answering", "silent", "state"]
pytestmark = pytest.mark.django_db

NODE = {"name": "a", "address": "127.0.0.1:9", "driver": {"memory": {"cluster": "orders"}}}
SERVICE = {"name": "orders", "kind": "memory", "nodes": [NODE]}


class Script:
    """What a script sees of the API: a status and JSON."""

    def __init__(self, token: str = "", **options: Any) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.client = Client(headers=headers, raise_request_exception=False, **options)

    def __call__(self, method: str, path: str, data: Any = None, kind: str = "application/json") -> Any:
        content = data if isinstance(data, str | bytes) else json.dumps(data) if data is not None else ""
        response = self.client.generic(method, f"/api/v1{path}", content, content_type=kind)
        body = json.loads(response.content) if response.content else None
        if response.status_code >= 400:
            assert set(body) == {"error", "problems"}, body
            assert body["error"]
        return response.status_code, body


@pytest.fixture
def api(admin_user, monkeypatch) -> Script:
    monkeypatch.setattr(queueing.current_app, "send_task", lambda *a, **k: None)
    return Script(Token.make(admin_user, "test")[1])


def places(body: dict[str, Any]) -> set[str]:
    return {problem["where"] for problem in body["problems"]}


# Who may


@pytest.mark.parametrize("token", ["", "cb_wrong", "é"])
def test_without_a_token_nothing_is_said(token):
    assert Script(token)("GET", "/services")[0] == 401
    assert Script(token)("POST", "/halt", {"reason": "x"})[0] == 401


def test_a_session_opens_the_api_too(admin_user):
    script = Script()
    script.client.force_login(admin_user)
    assert script("GET", "/services") == (200, {"services": []})


def test_a_session_changes_nothing_without_the_csrf_token(admin_user):
    script = Script(enforce_csrf_checks=True)
    script.client.force_login(admin_user)
    assert script("POST", "/services", SERVICE)[0] == 403
    assert not Target.objects.exists()


def test_a_token_needs_no_csrf_token(admin_user):
    script = Script(Token.make(admin_user, "test")[1], enforce_csrf_checks=True)
    assert script("POST", "/services", SERVICE)[0] == 201


# Services


def test_a_service_from_registering_to_deleting(api):
    status, made = api("POST", "/services", SERVICE)
    assert status == 201
    path = f"/services/{made['id']}"
    assert api("GET", path)[1]["nodes"][0]["driver"] == {"memory": {"cluster": "orders"}}
    assert api("PUT", path, {"description": "hot"})[1]["description"] == "hot"
    assert {"kill", "pause", "restart"} <= set(api("POST", f"{path}/check")[1]["nodes"][0]["can"])
    assert api("GET", "/services")[1]["services"][0]["nodes"][0]["up"] is True
    assert api("DELETE", path) == (204, None)
    assert api("GET", path)[0] == 404


@pytest.mark.parametrize(
    ("data", "where"),
    [
        ("", ""),
        ("{", ""),
        ("[" * 100_000, ""),
        ("[]", ""),
        ({}, "name"),
        (SERVICE | {"force": "maybe"}, "force"),
        (SERVICE | {"nodes": "a"}, "nodes"),
        (SERVICE | {"nodes": [{"address": 7}]}, "nodes.0.address"),
        (SERVICE | {"nodes": [NODE | {"driver": {"witch": {}}}]}, "nodes.0.driver"),
        (SERVICE | {"nodes": [NODE | {"driver": {"process": {"pid": "abc"}}}]}, "nodes.0.driver.process.pid"),
        (SERVICE | {"nodes": [NODE | {"driver": {"process": {"pid": 1}}}]}, "nodes.0.driver"),
    ],
)
def test_bad_input_is_answered_with_its_place_and_nothing_is_stored(api, data, where):
    status, body = api("POST", "/services", data)
    assert status == 400
    assert where in places(body)
    assert not Target.objects.exists()


def test_a_silent_address_is_stored_only_by_force(api, silent):
    data = {"name": "web", "kind": "tcp", "nodes": [{"name": "a", "address": silent}]}
    status, body = api("POST", "/services", data)
    assert (status, places(body)) == (400, {"nodes.0.address"})
    assert api("POST", "/services", data | {"force": True})[0] == 201


def test_10_mb_are_too_large(api):
    status, body = api("POST", "/services", SERVICE | {"description": "x" * 10_000_000})
    assert status == 413
    assert "1 MB" in body["error"]


def test_chunks_of_unknown_length_are_not_taken(api):
    api.client.headers = {}
    response = api.client.post(
        "/api/v1/services", "{}", "application/json", headers={"Transfer-Encoding": "chunked"}
    )
    assert response.status_code == 411


def test_a_service_in_use_is_not_deleted(api):
    experiment = factories.experiment()
    status, body = api("DELETE", f"/services/{experiment.target_id}")
    assert status == 409
    assert "one node pauses" in body["error"]


# Experiments and runs


@pytest.mark.parametrize("kind", ["application/json", "application/yaml", "text/plain"])
def test_an_experiment_is_saved_from_yaml_or_json(api, kind):
    factories.target()
    document = factories.document(faults=[{"at": "0s", "for": "1s", "pause": {"nodes": "one"}}])
    data = document if "json" in kind else dump(document)
    status, made = api("POST", "/experiments", data, kind)
    assert (status, made["version"], made["target"]) == (201, 1, "orders")
    assert "pause" in api("GET", f"/experiments/{made['id']}")[1]["yaml"]
    assert api("GET", "/experiments")[1]["experiments"][0]["name"] == "one node pauses"


def test_a_plan_is_told_link_by_link_and_nothing_is_saved(api):
    factories.target().nodes.update(upstream="127.0.0.1:9")
    document = factories.document(
        faults=[{"at": "0s", "for": "1s", "partition": {"nodes": "orders-n2", "direction": "to-node"}}]
    )
    status, found = api("POST", "/experiments/plan", document)
    assert (status, found["steps"][0]["cuts"]) == (
        200,
        [{"from": "clients", "to": "orders-n2", "both": False, "by": "link proxy of orders-n2",
          "text": "clients → orders-n2"}],
    )  # fmt: skip
    assert not Experiment.objects.exists()
    _, made = api("POST", "/experiments", document)
    assert api("GET", f"/experiments/{made['id']}/plan")[1] == found


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        ("name: [", "application/yaml"),
        ("", "application/yaml"),
        (b"\xff\xfe", "application/yaml"),
        ("just words", "text/plain"),
        ("{}", "application/json"),
        ('{"name": "x", "target": "nowhere", "baseline": "soon"}', "application/json"),
    ],
)
def test_a_bad_experiment_is_answered_in_words(api, data, kind):
    status, body = api("POST", "/experiments", data, kind)
    assert status == 400
    assert body["problems"]
    assert not Experiment.objects.exists()


def test_a_run_is_asked_for_watched_and_aborted(api):
    experiment = factories.experiment(faults=[{"at": "0s", "for": "1s", "pause": {"nodes": "one"}}])
    status, run = api("POST", f"/experiments/{experiment.pk}/start")
    assert (status, run["state"], run["requested_by"], run["trigger"]) == (202, "queued", "admin", "api")
    path = f"/runs/{run['id']}"
    assert api("GET", f"{path}/result")[0] == 409
    assert api("POST", f"{path}/abort")[1]["ending"] == "aborted"
    assert api("POST", f"{path}/abort")[0] == 409
    assert api("GET", f"{path}/result")[1]["verdict"] == "unknown"
    assert [r["id"] for r in api("GET", "/runs?experiment=one node pauses&limit=5")[1]["runs"]] == [run["id"]]


def test_events_come_after_a_number(api):
    run = factories.run()
    for event in factories.notes(1, 5):
        run.events.create(n=event.n, at=event.at, kind=event.kind, data=event.data)
    answer = api("GET", f"/runs/{run.pk}/events?after=3")[1]
    assert [event["n"] for event in answer["events"]] == [4, 5]
    assert [e["n"] for e in api("GET", f"/runs/{run.pk}/events?limit=2")[1]["events"]] == [1, 2]


@pytest.mark.parametrize("query", ["after=x", "after=-1", "limit=0", "limit=99999"])
def test_numbers_that_are_none_are_answered_in_words(api, query):
    status, body = api("GET", f"/runs/{factories.run().pk}/events?{query}")
    assert (status, places(body)) == (400, {query.partition("=")[0]})


@pytest.mark.parametrize(
    "path", ["/runs/7", "/runs/7/result", "/services/7", "/experiments/7", "/nowhere", "/runs/x"]
)
def test_what_is_not_there_is_404(api, path):
    assert api("GET", path)[0] == 404


def test_a_wrong_method_is_said_in_json(api):
    assert api("PATCH", "/services")[0] == 405


# Schedules and the halt


def test_a_schedule_is_set_and_deleted(api):
    experiment = factories.experiment()
    data = {"experiment": experiment.name, "cron": "30 2 * * 1-5", "timezone": "Europe/Berlin"}
    status, made = api("POST", "/schedules", data)
    assert (status, made["timezone"], made["enabled"]) == (201, "Europe/Berlin", True)
    assert len(api("GET", "/schedules")[1]["schedules"]) == 1
    assert api("DELETE", f"/schedules/{made['id']}") == (204, None)


def test_a_bad_schedule_is_answered_with_all_its_problems(api):
    factories.experiment()
    status, body = api("POST", "/schedules", {"cron": "often", "timezone": "Mars/Base"})
    assert status == 400
    assert {"experiment", "cron", "timezone"} <= places(body)


def test_what_is_hurt_is_told_and_healed_by_its_record(api, state):
    run = services.claim(factories.run().pk)
    node = Node("orders-n1", "127.0.0.1:1", control="memory", control_params={"cluster": "orders"})
    record = undo.inject(state, undo.prepare(state, str(run.pk), "f0", "kill", Kill(), node, 600))
    (hurt,) = api("GET", "/hurt")[1]["hurt"]
    assert (hurt["record"], hurt["state"], hurt["service"]) == (record.id, "active", "orders")
    assert hurt["seen"] == {"gone": False, "text": "orders-n1 is down"}
    assert api("POST", f"/hurt/{record.id}/acknowledge")[0] == 409
    assert api("POST", f"/hurt/{record.id}/heal")[1] == {"state": "clean", "text": "orders-n1 is up"}
    assert api("GET", "/hurt")[1]["hurt"] == []
    assert api("GET", "/hurt")[1]["healed"][0]["record"] == record.id


def test_halt_and_resume(api):
    run = factories.run()
    assert api("POST", "/halt", {})[0] == 400
    status, body = api("POST", "/halt", {"reason": "customers complain"})
    assert (status, body["halted"]["reason"], body["halted"]["by"]) == (200, "customers complain", "admin")
    assert Run.objects.get(pk=run.pk).ending == "halted"
    assert api("POST", f"/experiments/{run.version.experiment_id}/start")[0] == 409
    assert api("POST", "/resume")[1]["was_halted"] is True
    assert api("GET", "/halt")[1]["halted"] is None


# The rest of the doors


def test_the_document_describes_every_door(client):
    document = client.get("/api/v1/openapi.json").json()
    assert {"/api/v1/services", "/api/v1/runs/{pk}/events", "/api/v1/halt"} <= set(document["paths"])


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_the_health_checks_are_open(client, path):
    assert client.get(path).json() == {"status": "ok"}
