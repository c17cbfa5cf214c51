"""Runs compared and over time, as pages; and the table of many runs."""

import csv

import pytest

from apps.experiments.services import save_experiment
from apps.runs import bulk
from apps.runs.models import Figures, Run
from tests.apps import factories
from tests.apps.reports.test_reports import finished, interval, result

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _state(settings, tmp_path) -> None:
    settings.CHAOSBOARD_STATE = tmp_path
    settings.REDIS_URL = ""


@pytest.fixture
def browser(client, django_user_model):
    client.force_login(
        django_user_model.objects.create_user("ada"), backend="django.contrib.auth.backends.ModelBackend"
    )
    return client


def measured(share: float, recover: float) -> dict:
    return result(
        recovery={
            "availability": share,
            "time_to_recover_from_injected": recover,
            "uncertainty": 0.1,
            "broken": True,
        },
        phases_measured=[{"phase": "during", "samples": 1000, "availability": share}],
        faults=[{"id": "f0", "line": "pause n1", "injected_at": 2.0, "healed_at": 3.0}],
        duration=9.0,
    )


def test_two_runs_are_held_against_each_other_with_what_can_be_told(browser) -> None:
    experiment = factories.experiment()
    first = finished(experiment, measured(0.99, 2.0), [interval(1, 0.0), interval(2, 2.0)])
    save_experiment(factories.document(baseline="3s"), by="ada", instance=experiment)
    second = finished(experiment, measured(0.80, 2.1), [interval(1, 0.0)])
    text = browser.get(f"/runs/compare/?runs={first.pk},{second.pk}").content.decode()
    assert "Worse in availability of the whole run and availability while it hurt." in text
    assert "no difference that can be told" in text
    assert "−19.00 points" in text
    assert "-baseline: 1s" in text
    assert "+baseline: 3s" in text
    assert '"t": [-2.0, 0.0]' in text


def test_a_comparison_needs_two_runs_that_are_over(browser) -> None:
    run = finished()
    for runs in ("", "x", f"{run.pk}", f"{run.pk},999", f"{run.pk},{run.pk}", f"{run.pk},{'9' * 40}"):
        response = browser.get(f"/runs/compare/?runs={runs}", follow=True)
        assert "needs two runs" in response.content.decode()


def test_the_trend_of_an_experiment_and_of_a_service(browser) -> None:
    experiment = factories.experiment()
    assert "No run of it is over yet" in browser.get(f"/experiments/{experiment.pk}/trend/").content.decode()
    finished(experiment, measured(0.99, 2.0))
    finished(experiment, measured(0.99, 4.0))
    for address in (
        f"/experiments/{experiment.pk}/trend/",
        f"/services/{experiment.target_id}/trend/",
        f"/experiments/{experiment.pk}/",
    ):
        text = browser.get(address).content.decode()
        assert "mean of 2 recoveries" in text
        assert '"recover": [2.0, 4.0]' in text
    assert browser.get("/experiments/99/trend/").status_code == 404


def test_figures_are_those_of_the_result() -> None:
    row = Figures.objects.get(run=finished(stored=measured(0.9, 2.5)))
    assert (row.recover, row.availability, row.readings, row.broken) == (2.5, 0.9, 1000, True)


def test_many_runs_are_exported_as_a_table_that_a_spreadsheet_may_open(browser) -> None:
    run = finished(stored=result(headline="=1+1"))
    bulk.tag(Run.objects.all(), ["weekly"])
    other = finished(factories.experiment(factories.target("b"), name="x"))
    text = b"".join(browser.get(f"/runs/export/?runs={run.pk}").streaming_content).decode()
    (row,) = csv.DictReader(text.splitlines())
    assert (row["run"], row["headline"], row["tags"]) == (str(run.pk), "'=1+1", "weekly")
    assert row["time_to_recover_from_injected"] == "2.0"
    text = b"".join(browser.get("/runs/export/?service=b").streaming_content).decode()
    assert [row["run"] for row in csv.DictReader(text.splitlines())] == [str(other.pk)]
