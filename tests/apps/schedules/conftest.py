import pytest

from apps.experiments.models import Experiment
from apps.experiments.services import save_experiment
from apps.runs import queueing
from tests.apps.experiments.conftest import ada as ada
from tests.apps.experiments.conftest import kill_document, make_target


@pytest.fixture(autouse=True)
def _state(settings, monkeypatch, tmp_path) -> None:
    """Neither the board's state nor a broker: a run stays in its table."""
    settings.CHAOSBOARD_STATE = tmp_path
    monkeypatch.setenv("CHAOSBOARD_STATE", str(tmp_path))
    monkeypatch.setattr(queueing.current_app, "send_task", lambda *_args, **_options: None)


def make_experiment(name: str = "a node dies") -> Experiment:
    make_target()
    return save_experiment(kill_document(name), by="ada")


@pytest.fixture
def dies(db) -> Experiment:
    return make_experiment()
