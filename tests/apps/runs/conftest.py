from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from apps.runs import queueing, stopping


@pytest.fixture(autouse=True)
def state(settings, monkeypatch, tmp_path: Path) -> Path:
    """A state directory of the test's own, for the board and for the engine."""
    settings.CHAOSBOARD_STATE = tmp_path
    settings.REDIS_URL = ""
    monkeypatch.setenv("CHAOSBOARD_STATE", str(tmp_path))
    return tmp_path


@pytest.fixture(autouse=True)
def _nobody_told_us_to_stop() -> Iterator[None]:
    yield
    stopping._told.value = 0


@pytest.fixture
def sent(monkeypatch) -> list[int]:
    """The runs that were given to the broker."""
    found: list[int] = []

    def send_task(name: str, args: list[int], **options: object) -> None:
        assert (name, options["queue"], options["retry"]) == ("runs.execute", "runs", False)
        found.append(args[0])

    monkeypatch.setattr(queueing.current_app, "send_task", send_task)
    return found


@pytest.fixture
def broker_down(monkeypatch) -> None:
    def send_task(*_args: object, **_options: object) -> None:
        raise queueing.OperationalError("connection refused")

    monkeypatch.setattr(queueing.current_app, "send_task", send_task)


@pytest.fixture
def person(django_user_model) -> Callable[..., object]:
    return lambda name="ada": django_user_model.objects.create_user(name, password="correct horse")
