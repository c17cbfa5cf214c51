"""What the metronome's beats do."""

from django.conf import settings

from chaosboard import tasks
from chaosboard.celery import app


def test_a_tick_that_fails_keeps_no_other_from_its_turn(monkeypatch):
    came: list[str] = []

    def broken() -> None:
        came.append("broken")
        raise RuntimeError("the database is away")

    monkeypatch.setattr(tasks, "TICKS", (broken, lambda: came.append("the next")))
    tasks.tick()
    assert came == ["broken", "the next"]


def test_every_beat_has_a_task_that_a_worker_knows():
    app.loader.import_default_modules()
    assert {one["task"] for one in settings.CELERY_BEAT_SCHEDULE.values()} <= set(app.tasks)
