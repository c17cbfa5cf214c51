"""The files of reports: of two real runs, opened by other programs and compared with the database."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from apps.reports import charts, exports, pages, paper, sheet
from apps.reports.advice import advice
from apps.reports.pages import EMPTY
from apps.runs import services
from apps.runs.models import Run
from engine import undo
from engine.errors import Refused
from engine.faults import REGISTRY as FAULTS
from tests.apps import factories
from tests.apps.addresses import state
from tests.apps.reports import opened

__all__ = ["state"]
EXPORTED = ("json", "csv", "junit", "html", "pdf")


def performed(**parts: Any) -> Run:
    run = factories.run(factories.experiment(factories.target(parts["name"]), **parts))
    services.execute(run.pk)
    run.refresh_from_db()
    return run


@pytest.mark.systems
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("verdict", "parts"),
    [
        ("held", {"name": "quiet", "expect": {"recover_within": "5s"}}),
        (
            "violated",
            {
                "name": "loud",
                "faults": [{"at": "0s", "for": "1s", "kill": {"nodes": "all"}}],
                "expect": {"recover_within": "1ms", "availability": ">= 100%"},
                "recovery": {"timeout": "3s", "stable": "300ms"},
            },
        ),
    ],
)
def test_every_file_of_a_real_run_has_the_figures_of_the_database(
    verdict: str, parts: dict[str, Any], tmp_path: Path, settings: Any
) -> None:
    if not shutil.which("pdftotext"):
        pytest.fail("pdftotext is missing: install poppler-utils")
    settings.REDIS_URL = ""
    run = performed(**parts)
    assert run.verdict == verdict, run.headline
    for form in EXPORTED:
        call_command("export_report", run.pk, format=form, output=str(tmp_path / f"run.{form}"))
    assert list(opened.differences(run.result, tmp_path)) == []
    assert opened.pages_of_pdf(tmp_path / "run.pdf", tmp_path)
    assert opened.letters_alone(tmp_path / "run.pdf") == []
    assert undo.records(tmp_path) == []
    assert FAULTS.get("pause")


# Figures


def report(**parts: Any) -> dict[str, Any]:
    return {**json.loads(json.dumps(EMPTY)), "ending": "finished", "clean": True, **parts}


def test_every_figure_has_a_key_of_its_own() -> None:
    fault = {"line": "kill n1", "injected_at": 1.0, "healed_at": None, "state": "stuck"}
    keys = [one.key for one in sheet.figures(report(faults=[fault, fault]))]
    assert len(keys) == len(set(keys))


@pytest.mark.django_db
def test_a_spreadsheet_takes_no_text_of_a_csv_for_a_formula(state: Path) -> None:
    run = factories.run(state="done", headline="=1+1")
    assert "'=1+1" in exports.as_csv(run)


@pytest.mark.django_db
@pytest.mark.parametrize("verdict", ["unknown", "violated"])
def test_junit_never_passes_what_did_not_hold(state: Path, tmp_path: Path, verdict: str) -> None:
    stored = {"verdict": verdict, "headline": "a control \x07 sign & <tags>", "ending": "finished"}
    run = factories.run(state="done", result=stored)
    file = tmp_path / "run.junit"
    file.write_text(exports.as_junit(run))
    assert opened.of_junit(file)["verdict"] == verdict


@pytest.mark.django_db
def test_where_pango_is_missing_the_remedy_is_said(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> None:
        raise OSError("cannot load library 'libpango-1.0-0'")

    monkeypatch.setattr(paper, "font", lambda: "")
    monkeypatch.setitem(__import__("sys").modules, "weasyprint", None)
    monkeypatch.setattr("builtins.__import__", _importing(missing))
    with pytest.raises(Refused, match="Install libpango"):
        exports.as_pdf(factories.run(state="done"))


def _importing(missing: Any) -> Any:
    real = __import__

    def importing(name: str, *rest: Any, **options: Any) -> Any:
        return missing() if name == "weasyprint" else real(name, *rest, **options)

    return importing


# Charts


def intervals(values: list[float]) -> list[dict[str, Any]]:
    return [
        {
            "t": i * 0.1,
            "width": 0.1,
            "probes": {"p": {"good": 1, "total": 1, "p50": v, "p99": v}},
            "ops": None,
        }
        for i, v in enumerate(values)
    ]


def test_a_long_run_is_drawn_with_few_points_and_all_its_peaks() -> None:
    values = [0.001] * 50_000
    values[31_337] = 0.9
    _, latency = charts.charts(intervals(values), [], None)
    points = latency.traces[1].points
    assert len(points) <= charts.POINTS + 2
    assert max(v for _, v in points if v is not None) == 900.0
    assert len(latency.svg) < 40_000


def test_a_chart_shows_when_it_was_hurt_and_escapes_names() -> None:
    fault = {"line": "<b>cut</b>", "injected_at": 0.1, "healed_at": None}
    svg = charts.charts(intervals([0.1] * 5), [fault], 0.5)[0].svg
    assert "&lt;b&gt;cut&lt;/b&gt;" in svg
    assert "<b>" not in svg


def test_a_line_says_when_it_was_steady_again_in_words_only_once() -> None:
    drawn = charts.charts(intervals([0.1] * 5), [], 0.5, charts.Moment(0.3, "steady again +200 ms"))
    assert ["steady again +200 ms" in chart.svg for chart in drawn] == [True, False]
    assert all(chart.svg.count('class="back"') == 1 for chart in drawn)


@pytest.mark.parametrize(
    ("begun", "recovery", "says"),
    [
        ([10.0], {"broken": True}, charts.Moment(12.0, "steady again +2.00 s")),
        ([10.0], {"broken": False}, None),
        ([10.0], {"broken": True, "time_to_recover_from_injected": None}, None),
        ([10.0, 20.0], {"broken": True}, None),
        ([None], {"broken": True}, None),
    ],
)
def test_one_moment_stands_for_the_recovery_from_one_fault(
    begun: list[float | None], recovery: dict[str, Any], says: charts.Moment | None
) -> None:
    result = {
        "faults": [{"injected_at": at} for at in begun],
        "recovery": {"time_to_recover_from_injected": 2.0, **recovery},
    }
    assert pages.steady_again(result) == says


def test_nothing_measured_draws_nothing() -> None:
    assert charts.charts([], [], None) == []


# What to try next


def words(
    found: dict[str, Any],
    kind: str = "redis",
    tested: tuple[str, ...] = ("kill", "pause", "partition", "latency"),
) -> str:
    return " ".join(one.words + one.code for one in advice(found, kind, tested))


def test_lost_writes_lead_to_what_makes_that_store_keep_them() -> None:
    lost = report(verdict="violated", operations={"acknowledged": 9, "lost": 3})
    assert "min-replicas-to-write" in words(lost)
    assert "synchronous_commit" in words(lost, "postgres")


def test_faults_that_were_never_tried_are_named_where_the_service_can_suffer_them() -> None:
    held = report(verdict="held", operations={"acknowledged": 9, "lost": 0})
    found = advice(held, "redis", ("kill",), ("kill", "pause"))
    assert [one.fault for one in found] == ["pause"]
    assert "harder" in words(held)


def test_a_run_that_was_stopped_or_left_something_says_so_first() -> None:
    assert advice(report(ending="aborted"), "http", ())[0].words.startswith("It was stopped")
    assert advice(report(clean=False), "http", ())[0].words.startswith("Something of this run")
