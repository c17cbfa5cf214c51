import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.template import Context, Template
from django.template.loader import render_to_string

from apps.reports import exports, pages
from apps.reports.templatetags import figures
from apps.runs import services, transitions
from apps.runs.models import Injection, Run
from engine.check import own_checker
from engine.events import Event
from engine.history import read as read_history
from engine.story import stories
from engine.text import bound
from tests.apps import factories
from tests.apps.reports import opened

HISTORIES = Path(__file__).parents[2] / "engine" / "histories"
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _state(settings, tmp_path: Path) -> None:
    settings.CHAOSBOARD_STATE = tmp_path
    settings.REDIS_URL = ""


def result(**parts: Any) -> dict[str, Any]:
    recovery = {"time_to_recover_from_injected": 2.0, "availability": 0.9, **parts.pop("recovery", {})}
    return {"verdict": "held", "headline": "It held.", "ending": "finished", "recovery": recovery, **parts}


def finished(experiment=None, stored: dict[str, Any] | None = None, events: Sequence[Event] = ()) -> Run:
    run = services.claim(factories.run(experiment).pk)
    transitions.store(run, events)
    services.finish(run, stored or result())
    return Run.objects.select_related("version__experiment", "target").get(pk=run.pk)


def interval(n: int, t: float) -> Event:
    probes = {"memory": {"good": 9, "total": 10, "p50": 0.001, "p99": 0.004, "max": 0.004}}
    return Event(n, t, "interval", {"t": t, "width": 1.0, "probes": probes, "nodes": {}, "ops": None})


def test_a_run_without_a_result_has_a_truthful_report() -> None:
    run = factories.run(
        state="done", ending="aborted", verdict="unknown", headline="Never begun: aborted by ada"
    )
    report = pages.report(run)
    assert report["headline"] == "Never begun: aborted by ada"
    assert (report["verdict"], report["ending"]) == ("unknown", "aborted")
    assert report["recovery"]["time_to_recover_from_injected"] is None
    assert (report["clean"], report["clean_text"]) == (True, "nothing was hurt")


def test_a_run_without_a_result_that_left_something_says_what() -> None:
    run = factories.run(state="done")
    Injection.objects.create(
        run=run, step="f0", node="n1", line="pause n1", state="stuck", text="pid 7 stopped"
    )
    assert pages.report(run)["clean"] is False
    assert pages.report(run)["clean_text"] == "pause n1: stuck, pid 7 stopped"


def test_what_several_faults_say_alike_is_said_once() -> None:
    run = factories.run(state="done")
    for node, text in (("n1", "no rule is left"), ("n2", "no rule is left"), ("n3", "gone")):
        Injection.objects.create(run=run, step="f0", node=node, line=f"cut {node}", state="clean", text=text)
    assert pages.report(run)["clean_text"] == "cut n1 and cut n2: clean, no rule is left; cut n3: clean, gone"


@pytest.mark.parametrize(
    ("written", "printed"),
    [
        (">= 99.9%", "≥ 99.9 %"),
        ("availability >= 60%, p99 <= 200ms", "availability ≥ 60 %, p99 ≤ 200 ms"),
        ("every acknowledged element is in the last read", "every acknowledged element is in the last read"),
        ("≤ 10.0 s from injected", "≤ 10.0 s from injected"),
    ],
)
def test_a_bound_is_printed_with_its_signs_and_spaces(written: str, printed: str) -> None:
    assert bound(written) == printed


def test_reports_do_not_change_what_is_stored() -> None:
    run = finished()
    pages.report(run)["recovery"]["availability"] = 0
    assert run.result == result()
    assert pages.EMPTY["recovery"]["availability"] is None


def test_earlier_runs_are_those_of_the_same_experiment_newest_first() -> None:
    experiment = factories.experiment()
    first = finished(experiment)
    second = finished(experiment, result(verdict="violated"))
    finished(factories.experiment(factories.target("billing"), name="other"))
    last = finished(experiment)
    assert [
        (e["id"], e["verdict"], e["time_to_recover"], e["availability"]) for e in pages.earlier(last)
    ] == [
        (second.pk, "violated", 2.0, 0.9),
        (first.pk, "held", 2.0, 0.9),
    ]


def test_this_run_is_compared_with_the_median_of_the_earlier_ones() -> None:
    before = [{"time_to_recover": t, "availability": None} for t in (1.0, 2.0, 30.0, None)]
    assert pages.deltas(pages.EMPTY, before) == []
    worse = pages.deltas({"recovery": {"time_to_recover_from_injected": 3.0, "availability": 0.9}}, before)
    assert worse == [
        {"name": "time_to_recover", "now": 3.0, "usual": 2.0, "delta": 1.0, "better": False, "runs": 3}
    ]


def test_the_page_draws_from_the_stored_events() -> None:
    events = [*factories.notes(1, 1), interval(2, 0.0), interval(3, 1.0)]
    context = pages.context(finished(events=events))
    assert [e["n"] for e in context["report_data"]["events"]] == [1, 2, 3]
    assert context["report_data"]["faults"] == context["report"]["faults"]


def test_what_people_noted_and_asked_for_while_it_ran_is_in_the_report() -> None:
    noted = Event(2, 3.25, "note", {"level": "info", "text": "it hums <b>", "by": "ada"})
    longer = Event(
        3, 4.0, "extension", {"what": "f0", "seconds": 4.0, "by": "bob", "text": "kill n1 lasts 4 s longer"}
    )
    context = pages.context(finished(events=[*factories.notes(1, 1), noted, longer]))
    assert [(e["at"], e["data"]["by"]) for e in context["said"]] == [(3.25, "ada"), (4.0, "bob")]
    shown = render_to_string("reports/_said.html", context)
    assert "it hums &lt;b&gt;" in shown
    assert "kill n1 lasts 4 s longer" in shown


def test_the_report_page_and_its_json(client, django_user_model) -> None:
    ada = django_user_model.objects.create_user("ada")
    client.force_login(ada, backend="django.contrib.auth.backends.ModelBackend")
    for run in (
        finished(events=[interval(1, 0.0)]),
        factories.run(factories.experiment(factories.target("b"), name="x"), state="done"),
    ):
        response = client.get(f"/runs/{run.pk}/report/")
        assert response.status_code == 200
        assert pages.report(run)["headline"] in response.content.decode()
        assert client.get(f"/runs/{run.pk}/report.json").json()["name"] == run.name


def test_the_csv_of_intervals_has_a_row_an_interval_and_says_what_was_active(tmp_path: Path) -> None:
    fault = {"line": "pause n1", "injected_at": 1.2, "healed_at": 1.8}
    run = finished(
        stored=result(faults=[fault]), events=[interval(1, 0.0), interval(2, 1.0), interval(3, 2.0)]
    )
    rows = list(csv.DictReader(exports.as_intervals(run).splitlines()))
    assert [row["start"] for row in rows] == ["0.0", "1.0", "2.0"]
    assert [row["faults"] for row in rows] == ["", "pause n1", ""]
    assert rows[0]["memory good"] == "9"
    assert rows[0]["operations ok"] == ""


def test_html_needs_no_other_file_and_escapes(tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(exports.as_html(finished(stored=result(headline="<script>"))))
    assert "&lt;script&gt;" in file.read_text()
    assert opened.texts_of_html(file)["headline"] == "<script>"


def test_the_command_writes_the_file(tmp_path: Path, capsys) -> None:
    run = finished()
    out = tmp_path / "report.json"
    call_command("export_report", run.pk, format="json", output=str(out))
    assert json.loads(out.read_text())["headline"] == "It held."
    with pytest.raises(CommandError, match="There is no run 99"):
        call_command("export_report", 99, format="json", output=str(out))
    with pytest.raises(CommandError, match="cannot be written"):
        call_command("export_report", run.pk, format="csv", output=str(tmp_path / "no" / "file"))


def test_when_it_was_gone_and_when_traffic_went_again_are_told_as_two_times(client, admin_user) -> None:
    again = {"of": "n1", "stopped": True, "resumed_at": 12.73, "after": 0.42, "uncertainty": 0.1}
    fault = {
        "id": "f0", "line": "cut n1 off", "nodes": ["n1"], "state": "clean", "text": "gone", "traffic": [again],
        "injected_at": 2.0, "healing_at": 12.3, "healed_at": 12.31,
    }  # fmt: skip
    run = finished(stored=result(faults=[fault]))
    sentence = "It was gone at 12.31 s; traffic to n1 went again 420 ms later ± 100 ms."
    client.force_login(admin_user)
    assert sentence in client.get(f"/runs/{run.pk}/report/").content.decode()
    assert sentence in exports.as_html(run)
    assert json.loads(exports.as_json(run))["faults"][0]["traffic"] == [again]


def violated_story() -> dict[str, Any]:
    history = read_history(HISTORIES / "register/old-value-again.violated.jsonl")
    return stories(history, own_checker("register").check(history).findings)[0]


def test_a_violation_is_told_and_drawn_with_the_fault_in_the_report_and_in_its_file() -> None:
    check = {
        "name": "linearizable",
        "verdict": "violated",
        "headline": "no order",
        "stories": [violated_story()],
    }
    fault = {"line": "cut n1", "injected_at": 0.002, "healed_at": 0.006, "nodes": ["n1"], "state": "clean"}
    run = finished(stored=result(verdict="violated", checks=[check], faults=[fault], duration=0.01))
    (told,) = pages.context(run)["told"]
    assert [band.label for band in told.timeline.bands] == ["cut n1"]
    html = render_to_string("runs/report.html", pages.context(run))
    assert "although client 1 had already been told that 2 was written" in html
    assert 'id="op-6"' in html
    assert "client 1 had already been told that 2 was written" in exports.as_html(run)


def test_the_first_violation_is_drawn_while_the_run_goes_on(client, django_user_model) -> None:
    ada = django_user_model.objects.create_user("ada")
    client.force_login(ada, backend="django.contrib.auth.backends.ModelBackend")
    run = services.claim(factories.run().pk)
    assert client.get(f"/runs/{run.pk}/violation/").status_code == 404
    op = {"index": 0, "process": 1, "type": "ok", "f": "write", "value": 9, "result": 9}
    ops = [
        op | {"invoked": 1.0, "completed": 1.1},
        op
        | {
            "index": 2,
            "process": 3,
            "f": "read",
            "value": None,
            "result": 7,
            "invoked": 1.2,
            "completed": 1.3,
        },
    ]
    transitions.store(run, [
        Event(1, 0.9, "fault", {"id": "f0", "fault": "pause", "line": "pause n1", "nodes": ["n1"], "state": "active",
                                "text": ""}),
        Event(2, 1.3, "violation", {"checker": "linearizable", "kind": "not linearizable", "why": "", "operations": ops}),
    ])  # fmt: skip
    html = client.get(f"/runs/{run.pk}/violation/").content.decode()
    assert "Client 3 read 7 at 1.3000 s, although client 1 had already been told that 9 was written" in html
    assert "pause n1" in html
    assert "<html" not in html


def test_what_an_older_board_did_not_store_is_shown_as_not_measured() -> None:
    shown = Template("{% load figures %}{{ a.b|seconds }} {{ a.b|count }} {{ a.b|percent }} {{ a.b|moment }}")
    assert shown.render(Context({"a": {}})) == "– – – –"


def test_the_data_of_a_page_cannot_end_its_script() -> None:
    told = {"line": "</script><b>&amp;", "bad": float("nan")}
    shown = figures.data_script(told, "run-data")
    assert shown.count("<") == 2
    assert json.loads(shown.partition(">")[2].removesuffix("</script>")) == {**told, "bad": None}
