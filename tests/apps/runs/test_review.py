"""Runs found, tagged, kept and judged again."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.http import QueryDict
from django.utils import timezone

from apps.runs import bulk, figures, rejudging, retention, review, services, transitions
from apps.runs.models import Figures, Injection, Judgement, Label, Retention, Run
from apps.runs.retention import Row, Rules
from engine import runner
from engine.errors import BadInput, Refused
from tests.apps import factories

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("sent")]
NOW = datetime(2026, 11, 24, tzinfo=UTC)


@pytest.fixture
def browser(client, person):
    client.force_login(person("ada"), backend="django.contrib.auth.backends.ModelBackend")
    return client


def done(experiment=None, **row) -> Run:
    return factories.run(experiment, state="done", **{"verdict": "held", "finished_at": NOW, **row})


def found(query: str) -> list[int]:
    return [run.pk for run in review.Filter.of(QueryDict(query)).rows()]


def test_runs_are_found_by_each_part_of_the_address() -> None:
    first = factories.experiment()
    other = factories.experiment(factories.target("billing"), name="all die")
    a = done(first, verdict="violated", requested_by="ada", headline="37 writes are gone")
    b = done(other, created_at=datetime(2026, 1, 5, 12, tzinfo=UTC))
    c = factories.run(other)
    bulk.tag(Run.objects.filter(pk=b.pk), ["release"])
    assert found("") == [c.pk, b.pk, a.pk]
    assert found("verdict=violated") == found("by=ada") == found("service=orders") == [a.pk]
    assert (
        found("q=writes") == found(f"experiment={first.pk}") == found("experiment=one+node+pauses") == [a.pk]
    )
    assert found("q=release") == found("tag=release") == found("tag=Release&service=billing") == [b.pk]
    assert found("q=billing") == found("q=all+DIE") == [c.pk, b.pk]
    assert found(f"q={a.pk}") == [a.pk]
    assert found("state=queued") == [c.pk]
    assert found("since=2026-01-05&until=2026-01-05") == [b.pk]
    assert found("until=2026-01-04") == []
    assert found("since=nonsense") == [c.pk, b.pk, a.pk]
    assert found("fault=pause") == []


def test_a_run_is_found_by_the_fault_that_it_plans() -> None:
    run = services.request_run(factories.experiment(), by="ada")
    assert found("fault=pause") == [run.pk]
    assert found("fault=kill") == []


def test_pages_follow_one_another_in_both_directions_without_gap() -> None:
    experiment = factories.experiment()
    pks = [done(experiment).pk for _ in range(7)][::-1]
    rows = review.Filter().rows()
    first = review.page(rows, size=3)
    second = review.page(rows, before=first.older, size=3)
    third = review.page(rows, before=second.older, size=3)
    assert [r.pk for p in (first, second, third) for r in p.runs] == pks
    assert (first.newer, third.older) == (None, None)
    back = review.page(rows, after=third.newer, size=3)
    assert [r.pk for r in back.runs] == [r.pk for r in second.runs]
    assert [r.pk for r in review.page(rows, after=back.newer, size=3).runs] == [r.pk for r in first.runs]


def test_the_page_keeps_the_filter_in_its_addresses(browser, monkeypatch) -> None:
    monkeypatch.setattr(review.page, "__defaults__", (None, None, 2))
    experiment = factories.experiment()
    runs = [done(experiment, verdict="violated") for _ in range(3)]
    text = browser.get("/runs/?verdict=violated").content.decode()
    assert f"?verdict=violated&amp;before={runs[1].pk}" in text
    assert "No run is like that" in browser.get("/runs/?verdict=held").content.decode()


def test_tags_are_words() -> None:
    assert bulk.tag_names("Weekly, before-2.0") == ["before-2.0", "weekly"]
    for text in ("", " ", "<b>", "x" * 51):
        with pytest.raises(BadInput):
            bulk.tag_names(text)


def test_an_action_counts_first_and_acts_when_the_count_is_confirmed(browser) -> None:
    run, other = done(), done(factories.experiment(factories.target("b"), name="x"))
    form = {"then": "tag", "run": [run.pk], "tags": "release"}
    text = browser.post("/runs/act/", form).content.decode()
    assert "1 run: tag?" in text
    assert not Label.objects.exists()
    assert browser.post("/runs/act/", {**form, "confirmed": "2"}).status_code == 400
    assert browser.post("/runs/act/", {**form, "confirmed": "1", "tags": "<"}).status_code == 400
    assert browser.post("/runs/act/", {**form, "confirmed": "1"}).status_code == 302
    assert list(Label.objects.values_list("run", "name")) == [(run.pk, "release")]
    browser.post("/runs/act/", {"do": "archive", "all": "1", "filter": "service=b", "confirmed": "1"})
    assert found("") == [run.pk]
    assert found("archived=1") == [other.pk]


def test_what_came_after_the_question_is_not_part_of_the_answer(browser) -> None:
    experiment = factories.experiment()
    old = done(experiment)
    new = done(experiment)
    form = {"do": "delete", "all": "1", "upto": old.pk, "confirmed": "1"}
    browser.post("/runs/act/", form)
    assert list(Run.objects.values_list("pk", flat=True)) == [new.pk]


def test_deleting_takes_rows_and_files_but_nothing_that_hurts_or_runs(state: Path) -> None:
    experiment = factories.experiment()
    gone, hurts, waits = done(experiment), done(experiment), factories.run(experiment)
    for run in (gone, hurts):
        run.directory.mkdir(parents=True)
        (run.directory / "events.jsonl").write_text("")
    Injection.objects.create(run=hurts, step="f0", node="n", line="pause n", state="stuck")
    count, kept = bulk.delete(Run.objects.all())
    assert count == 1
    assert {k.run for k in kept} == {hurts.pk, waits.pk}
    assert not gone.directory.exists()
    assert hurts.directory.exists()


def test_a_directory_that_is_a_link_is_not_followed(state: Path, tmp_path: Path) -> None:
    run = done()
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("x")
    run.directory.parent.mkdir(parents=True)
    run.directory.symlink_to(precious)
    bulk.delete(Run.objects.all())
    assert (precious / "file").exists()
    assert not run.directory.is_symlink()


def test_from_the_list_to_a_comparison_and_an_export(browser) -> None:
    a, b = done(), done(factories.experiment(factories.target("b"), name="x"))
    assert (
        browser.post("/runs/act/", {"do": "compare", "run": [b.pk, a.pk]}).url
        == f"/runs/compare/?runs={a.pk},{b.pk}"
    )
    assert browser.post("/runs/act/", {"do": "compare", "run": [a.pk]}).url == "/runs/?"
    assert browser.post("/runs/act/", {"do": "export", "run": [a.pk]}).url == f"/runs/export/?runs={a.pk}"
    assert (
        browser.post("/runs/act/", {"do": "export", "all": "1", "filter": "service=b"}).url
        == "/runs/export/?service=b"
    )


def row(pk: int, days: int = 0, verdict: str = "held", tagged: bool = False, experiment: int = 1) -> Row:
    return Row(pk, experiment, NOW - timedelta(days=days), verdict, tagged)


def test_the_last_runs_of_each_experiment_are_kept() -> None:
    rows = [row(5), row(4, experiment=2), row(3), row(2), row(1, experiment=2)]
    assert retention.leaving(rows, Rules(keep_last=1), NOW) == [3, 2, 1]
    assert retention.leaving(rows, Rules(keep_last=2), NOW) == [2]
    assert retention.leaving(rows, Rules(), NOW) == []


def test_old_runs_go_unless_a_tag_or_a_broken_promise_keeps_them() -> None:
    rows = [row(4, 31), row(3, 31, tagged=True), row(2, 31, "violated"), row(1, 29)]
    assert retention.leaving(rows, Rules(keep_days=30), NOW) == [4]
    assert retention.leaving(rows, Rules(keep_days=30, keep_tagged=False, keep_violated=False), NOW) == [
        4,
        3,
        2,
    ]


def test_a_sweep_deletes_what_the_preview_showed(browser) -> None:
    experiment = factories.experiment()
    runs = [done(experiment) for _ in range(3)]
    assert retention.sweep() == 0
    text = browser.post("/runs/keeping/", {"keep_last": "1", "do": "preview"}).content.decode()
    assert "2 of 3 runs would be deleted" in text
    assert not Retention.objects.exists()
    assert browser.post("/runs/keeping/", {"keep_last": "-1", "do": "save"}).status_code == 400
    browser.post("/runs/keeping/", {"keep_last": "1", "do": "save"})
    assert retention.sweep() == 2
    assert list(Run.objects.values_list("pk", flat=True)) == [runs[2].pk]
    assert Retention.objects.get().swept == 2


def test_what_was_once_violated_is_kept_though_it_was_judged_again() -> None:
    experiment = factories.experiment()
    first = done(experiment)
    done(experiment)
    assert retention.due(Rules(keep_last=1)) == [first.pk]
    Judgement.objects.create(run=first, by="ada", verdict="violated")
    assert retention.due(Rules(keep_last=1)) == []


def real(experiment) -> Run:
    """A run that the engine really did, on simulated nodes."""
    run = services.request_run(experiment, by="ada")
    services.execute(run.pk, perform=runner.run)
    return Run.objects.get(pk=run.pk)


@pytest.mark.django_db(transaction=True)
def test_a_stored_run_is_judged_again_from_its_files_and_the_old_judgement_is_kept(browser) -> None:
    experiment = factories.experiment(
        baseline="300ms", faults=[{"at": "0s", "for": "300ms", "pause": {"nodes": ["one"]}}]
    )
    run = real(experiment)
    assert run.verdict == "held"
    assert rejudging.judge_again(run.pk, "ada") is None
    truth = run.result
    wrong = {
        **truth,
        "verdict": "violated",
        "headline": "It broke.",
        "recovery": {**truth["recovery"], "availability": 0.5},
    }
    Run.objects.filter(pk=run.pk).update(verdict="violated", headline="It broke.", result=wrong)
    before = rejudging.judge_again(run.pk, "ada")
    run.refresh_from_db()
    assert (run.verdict, run.result) == ("held", truth)
    assert (before.verdict, before.result) == ("violated", wrong)
    assert Figures.objects.get(run=run).verdict == "held"
    text = browser.get(f"/runs/{run.pk}/judgements/").content.decode()
    assert "It broke." in text
    assert '<td data-label="Before">50.00 %</td>' in text


def test_a_run_without_files_or_an_end_is_not_judged_again() -> None:
    with pytest.raises(Refused, match="files of run"):
        rejudging.judge_again(done().pk, "ada")
    with pytest.raises(Refused, match="not over"):
        rejudging.judge_again(factories.run(factories.experiment(factories.target("b"), name="x")).pk, "ada")


def test_what_changed_between_two_judgements_is_named() -> None:
    old = {
        "verdict": "held",
        "checks": [{"name": "set", "verdict": "held", "measured": "none lost"}],
        "recovery": {},
    }
    new = {
        "verdict": "violated",
        "checks": [{"name": "set", "verdict": "violated", "measured": "3 lost"}],
        "recovery": {},
    }
    assert [(c["name"], c["before"], c["now"]) for c in rejudging.changes(old, new)] == [
        ("verdict", "held", "violated"), ("set", "held: none lost", "violated: 3 lost"),
    ]  # fmt: skip


def test_judging_again_without_a_broker_is_refused_in_words(browser) -> None:
    run = done()
    response = browser.post(f"/runs/{run.pk}/judge/", follow=True)
    assert "No worker can be asked" in response.content.decode()


def test_figures_come_with_the_end_of_a_run() -> None:
    run = services.claim(factories.run(target_version="1.2").pk)
    transitions.finish(run, {"verdict": "held", "ending": "finished", "headline": "x"})
    row = Figures.objects.get(run=run)
    assert (row.verdict, row.availability, row.target_version) == ("held", None, "1.2")
    assert row.at <= timezone.now()


@pytest.mark.parametrize(
    ("versions", "told"),
    [
        (None, ""),
        ({"target": {"n1": "8.1", "n2": "8.1"}}, "8.1"),
        ({"target": {"n1": "8.1", "n2": "8.0"}}, "8.0, 8.1"),
    ],
)
def test_a_version_that_nobody_named_is_that_of_the_nodes(versions, told: str) -> None:
    assert figures.told_version({"versions": versions}) == told
