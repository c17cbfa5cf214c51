import re

import pytest
from django.test import Client
from django.urls import reverse

from apps.experiments.draft import Draft
from apps.experiments.models import Experiment
from apps.runs.models import Run
from apps.targets.models import Target
from tests.apps.experiments.conftest import kill_document, make_target

ADD = "/experiments/add/"
DRAW = "/experiments/draw/"
PREVIEW = "/experiments/preview/"


def fields_of(html: str) -> dict[str, object]:
    """What a browser would post of the editor's form, as it stands."""
    form = html[html.index('id="editor"') :] if 'id="editor"' in html else html
    found: dict[str, object] = {"step": []}
    for name, value in re.findall(r'<input[^>]*?name="([^"]+)"(?:[^>]*?value="([^"]*)")?', form):
        if name == "step":
            found["step"].append(value)
        else:
            found[name] = value.replace("&gt;", ">").replace("&lt;", "<")
    for name, body in re.findall(r'<select[^>]*?name="([^"]+)".*?>(.*?)</select>', form, re.DOTALL):
        options = re.findall(r'<option value="([^"]*)"([^>]*)>', body)
        chosen = [value for value, rest in options if "selected" in rest]
        found[name] = chosen[0] if chosen else options[0][0]
    for name, body in re.findall(r'<textarea[^>]*?name="([^"]+)"[^>]*>\n?(.*?)</textarea>', form, re.DOTALL):
        found[name] = (
            body.replace("&gt;", ">").replace("&lt;", "<").replace("&#x27;", "'").replace("&quot;", '"')
        )
    return found


def drawn(ada: Client, address: str = ADD) -> dict[str, object]:
    return fields_of(ada.get(address).content.decode())


@pytest.mark.usefixtures("orders")
def test_name_and_service_are_enough(ada: Client) -> None:
    answer = ada.post(ADD, {"name": "one dies", "target": "orders"})
    experiment = Experiment.objects.get()
    assert answer.url == experiment.get_absolute_url()
    document = experiment.current.document
    assert document["faults"][0]["for"] == "10s"
    assert document["expect"] == {"recover_within": "30s"}
    assert "kill" in document["faults"][0]


@pytest.mark.usefixtures("orders")
def test_a_new_form_asks_for_the_service_and_lists_no_faults_of_what_was_not_begun(ada: Client) -> None:
    make_target("payments")
    page = ada.get(ADD).content.decode()
    assert "Choose the service: then the plan is drawn here." in page
    assert "What is missing" not in page


@pytest.mark.usefixtures("orders")
def test_the_drawn_form_needs_only_a_name(ada: Client) -> None:
    fields = drawn(ada)
    assert fields["target"] == "orders"
    answer = ada.post(ADD, {**fields, "name": "one dies"})
    assert answer.status_code == 302
    assert "kill" in Experiment.objects.get().current.document["faults"][0]


def test_what_was_saved_is_shown_again_and_saved_unchanged(ada: Client, dies: Experiment) -> None:
    address = reverse("experiments:edit", args=[dies.pk])
    assert ada.post(address, drawn(ada, address)).status_code == 302
    assert dies.versions.count() == 1


def test_an_empty_form_is_answered_in_words(ada: Client, orders: Target) -> None:
    html = ada.post(ADD, {}).content.decode()
    assert "what is the experiment called?" in html
    assert "which service is hurt?" in html
    assert not Experiment.objects.exists()


@pytest.mark.usefixtures("orders")
@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("every", "often", "100ms"),
        ("baseline", "10", "has no unit"),
        ("availability", ">= 200%", "at most 100%"),
        ("p99", "fast", "&lt;= 200ms"),
        ("step-0-at", "noon", "is not a duration"),
        ("step-0-for", "", "no fault without a duration"),
        ("step-0-kill-signal", "HUG", "not a signal"),
        ("step-0-kill-nodes", "n9", "n9"),
        ("step-0-fault", "meteor", "meteor"),
        ("expect_lost_writes", "few", "whole number"),
        ("abort_when", "when it hurts", "not a condition"),
        ("target", "nobody", "nobody"),
        ("recovery_stable", "90s", "longer than the timeout"),
    ],
)
def test_bad_input_is_answered_at_its_field(ada: Client, field: str, value: str, says: str) -> None:
    html = ada.post(ADD, {**drawn(ada), "name": "x", field: value}).content.decode()
    lists = re.findall(r'<ul class="errors.*?</ul>', html, re.DOTALL)
    assert any(says in text for text in lists), lists
    assert not Experiment.objects.exists()


@pytest.mark.usefixtures("orders")
def test_more_faults_can_be_added_and_removed(ada: Client) -> None:
    fields = fields_of(ada.post(DRAW, {**drawn(ada), "do": "add"}).content.decode())
    assert fields["step"] == ["0", "1"]
    fields = fields_of(ada.post(DRAW, {**fields, "step-1-at": "20s", "do": "remove-0"}).content.decode())
    assert (fields["step"], fields["step-1-at"]) == (["1"], "20s")
    fields = fields_of(ada.post(DRAW, {**fields, "do": "remove-1"}).content.decode())
    assert fields["step"] == []


@pytest.mark.usefixtures("orders")
def test_choosing_a_fault_draws_its_parameters(ada: Client) -> None:
    html = ada.post(DRAW, {**drawn(ada), "step-0-fault": "pause"}).content.decode()
    assert 'name="step-0-pause-nodes"' in html
    assert 'name="step-0-kill-signal"' not in html


def test_faults_that_the_service_cannot_suffer_are_shown_disabled_with_the_reason(ada: Client, db) -> None:
    make_target("web", kind="http", control="", control_params={})
    html = ada.get(ADD).content.decode()
    option = re.search(r'<option value="kill"[^>]*>[^<]*', html)[0]
    assert "disabled" in option
    assert "Nothing controls" in option


def test_another_service_changes_what_is_offered(ada: Client, orders: Target) -> None:
    make_target("web", kind="http")
    fields = drawn(ada, f"{ADD}?target=orders")
    fields = fields_of(ada.post(DRAW, {**fields, "target": "web"}).content.decode())
    assert (fields["probe"], fields["drawn_for"], fields["probe-http-path"]) == ("http", "web", "/")


@pytest.mark.usefixtures("orders")
def test_a_workload_asks_for_lost_writes_to_be_counted(ada: Client) -> None:
    fields = fields_of(ada.post(DRAW, {**drawn(ada), "workload": "set"}).content.decode())
    assert fields["expect_lost_writes"] == "0"
    assert "workload-set-rate" in fields


@pytest.mark.usefixtures("orders")
def test_a_workload_that_cannot_tell_what_is_lost_does_not_ask_for_it(ada: Client) -> None:
    fields = fields_of(ada.post(DRAW, {**drawn(ada), "workload": "set"}).content.decode())
    fields = fields_of(ada.post(DRAW, {**fields, "workload": "queue"}).content.decode())
    assert fields["expect_lost_writes"] == ""


@pytest.mark.usefixtures("orders")
def test_the_form_becomes_yaml_and_the_yaml_a_form(ada: Client) -> None:
    fields = {**drawn(ada), "name": "one dies", "step-0-for": "7s", "abort_when": "availability < 20% for 5s"}
    yaml = fields_of(ada.post(DRAW, {**fields, "do": "yaml"}).content.decode())
    assert yaml["mode"] == "yaml"
    assert "for: 7s" in yaml["text"]
    again = fields_of(ada.post(DRAW, {**yaml, "do": "form"}).content.decode())
    assert (again["name"], again["step-0-for"]) == ("one dies", "7s")
    assert again["abort_when"] == "availability < 20% for 5s"


@pytest.mark.usefixtures("orders")
def test_yaml_that_cannot_be_read_names_its_lines_and_is_kept(ada: Client) -> None:
    text = "name: x\ntarget: orders\nfaults: [{kill: {}}]\nspeed: 3"
    html = ada.post(ADD, {"mode": "yaml", "text": text}).content.decode()
    assert "line 4" in html
    assert "speed" in html
    assert fields_of(html)["text"] == text
    assert not Experiment.objects.exists()


def test_yaml_is_saved_as_it_was_written(ada: Client, dies: Experiment) -> None:
    text = f"# mine\n{dies.current.text}".replace("5s", "6s")
    ada.post(reverse("experiments:edit", args=[dies.pk]), {"mode": "yaml", "text": text})
    assert dies.current.number == 2
    assert dies.current.text.startswith("# mine")


@pytest.mark.usefixtures("orders")
def test_the_preview_tells_the_plan_or_what_is_missing(ada: Client) -> None:
    fields = {**drawn(ada), "name": ""}
    assert "needs a name" in ada.post(PREVIEW, fields).content.decode()
    assert "has no unit" in ada.post(PREVIEW, {**fields, "baseline": "10"}).content.decode()
    html = ada.post(PREVIEW, {**fields, "name": "x"}).content.decode()
    assert "Kill one of n0, n1, n2 (SIGKILL): at most 1 of 3 nodes at once" in html
    assert "<svg" in html
    assert "style=" not in html


def test_what_the_form_does_not_show_is_kept() -> None:
    document = kill_document(expect={"linearizable": True, "recover_within": "5s"})
    document["steady_state"][0] |= {"name": "front", "tolerance": {"p50": "<= 1s"}}
    document["steady_state"].append({"probe": {"tcp": {}}})
    again, problems = Draft.of(document).document()
    assert problems == []
    assert again["steady_state"] == document["steady_state"]
    assert again["expect"] == document["expect"]


def test_the_detail_page_shows_versions_and_runs(ada: Client, dies: Experiment) -> None:
    run = Run.objects.create(
        version=dies.current,
        target=dies.target,
        target_document={},
        state="done",
        verdict="held",
        headline="fine",
    )
    ada.post(
        reverse("experiments:edit", args=[dies.pk]),
        {**drawn(ada, f"/experiments/{dies.pk}/edit/"), "baseline": "3s"},
    )
    html = ada.get(dies.get_absolute_url()).content.decode()
    for text in ("version 2", f"run {run.pk}", "held", "fine", "What will happen"):
        assert text in html
    assert "version 1 of 2" in ada.get(f"{dies.get_absolute_url()}?version=1").content.decode()
    assert ada.get(f"{dies.get_absolute_url()}?version=x").status_code == 404
    assert ada.get(f"/experiments/{dies.pk}/1.yaml").content.decode().startswith("name:")


def test_the_list_shows_the_last_verdict(ada: Client, dies: Experiment) -> None:
    assert "not run yet" in ada.get("/experiments/").content.decode()
    Run.objects.create(
        version=dies.current, target=dies.target, target_document={}, state="done", verdict="violated"
    )
    assert "violated" in ada.get("/experiments/").content.decode()


def test_deleting_asks_first(ada: Client, dies: Experiment) -> None:
    address = reverse("experiments:delete", args=[dies.pk])
    assert "Delete a node dies?" in ada.get(address).content.decode()
    assert Experiment.objects.exists()
    assert ada.post(address).url == "/experiments/"
    assert not Experiment.objects.exists()


def test_without_a_service_the_page_leads_to_one(ada: Client) -> None:
    assert "Register a service" in ada.get(ADD).content.decode()
    assert "register a service" in ada.get("/experiments/").content.decode()
