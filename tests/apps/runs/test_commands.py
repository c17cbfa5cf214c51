"""`manage.py run_experiment`, with a worker that runs in the same process."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from apps.experiments.models import Experiment
from apps.runs import queueing, services
from apps.runs.models import Run
from engine.document import dump
from tests.apps import factories

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def worker(monkeypatch) -> dict[str, Any]:
    """What the worker finds: change it to change the verdict."""
    result = {"verdict": "held", "headline": "It held.", "ending": "finished"}

    def perform(*_: Any, emit: Any, **_options: Any) -> dict[str, Any]:
        emit(factories.notes(1, 2))
        return result

    def send_task(name: str, args: list[int], **_options: Any) -> None:
        services.execute(args[0], perform=perform)

    monkeypatch.setattr(queueing.current_app, "send_task", send_task)
    return result


def status(*args: str, **options: Any) -> int:
    try:
        call_command("run_experiment", *args, **options)
    except SystemExit as end:
        return int(end.code or 0)
    except CommandError as error:
        return error.returncode
    return 0


@pytest.mark.parametrize(("verdict", "expected"), [("held", 0), ("violated", 1), ("unknown", 2)])
def test_the_exit_status_is_the_verdict(worker, verdict: str, expected: int, capsys) -> None:
    worker["verdict"] = verdict
    experiment = factories.experiment()
    assert status(experiment.name, wait=True) == expected
    assert f"{verdict}: It held." in capsys.readouterr().out


def test_the_result_is_written_as_json(worker, tmp_path: Path) -> None:
    experiment = factories.experiment()
    assert status(experiment.name, json=str(tmp_path / "out.json")) == 0
    assert json.loads((tmp_path / "out.json").read_text()) == worker


def test_without_wait_it_only_starts(sent, capsys) -> None:
    assert status(factories.experiment().name) == 0
    run = Run.objects.get()
    assert sent == [run.pk]
    assert f"/runs/{run.pk}/" in capsys.readouterr().out


def test_a_file_is_stored_as_an_experiment_and_run(worker, tmp_path: Path) -> None:
    factories.target()
    file = tmp_path / "experiment.yaml"
    file.write_text(dump(factories.document()))
    assert status(str(file), wait=True) == 0
    assert status(str(file), wait=True) == 0
    assert Experiment.objects.get().versions.count() == 1
    assert Run.objects.count() == 2


@pytest.mark.parametrize("content", ["", "name: x\nmelt: 1\n", "{", "- 1", "\xff"])
def test_bad_input_is_status_3_and_stores_nothing(tmp_path: Path, content: str) -> None:
    file = tmp_path / "experiment.yaml"
    file.write_bytes(content.encode("latin-1"))
    assert status(str(file)) == 3
    assert status("nothing of that name") == 3
    assert not Run.objects.exists()
    assert not Experiment.objects.exists()


def test_while_halted_it_is_refused_with_the_reason() -> None:
    services.halt("fire", "ada")
    with pytest.raises(CommandError, match="halted by ada"):
        call_command("run_experiment", factories.experiment().name)
