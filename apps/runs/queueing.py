"""From a row to a worker. The row is the truth; a message is only a hint that it is there."""

import logging
from datetime import timedelta

from celery import current_app
from django.conf import settings
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone
from kombu.exceptions import KombuError, OperationalError

from apps.live.publish import reachable
from apps.runs.models import Run

OVERDUE = timedelta(seconds=3)  # a waiting run older than this is sent again
AGAIN = timedelta(seconds=10)  # but not more often than this
EXPIRES = 30  # seconds after which a message that no worker took is dropped

log = logging.getLogger(__name__)


def enqueue(run_id: int) -> bool:
    """Whether the broker has it. Where it has not, the tick sends it again: nothing is lost."""
    Run.objects.filter(pk=run_id, state=Run.State.QUEUED).update(enqueued_at=timezone.now())
    if settings.REDIS_URL and not reachable():  # Celery would try for six seconds
        log.warning("run %s waits in the database, the broker is away", run_id)
        return False
    try:
        current_app.send_task("runs.execute", args=[run_id], queue="runs", retry=False, expires=EXPIRES)
    except (OperationalError, KombuError, OSError) as error:
        log.warning("run %s waits in the database, the broker is away: %s", run_id, error)
        return False
    return True


def enqueue_next(target_id: int) -> None:
    """The oldest run that waits for a target that has just become free."""
    waiting = Run.objects.filter(target_id=target_id, state=Run.State.QUEUED).order_by("pk")
    if (following := waiting.values_list("pk", flat=True).first()) is not None:
        enqueue(following)


def requeue() -> None:
    """Sends again what waits for longer than it should, while its target is free."""
    now = timezone.now()
    busy = Run.objects.filter(target=OuterRef("target"), state=Run.State.RUNNING)
    waiting = Run.objects.filter(
        ~Exists(busy),
        Q(enqueued_at=None) | Q(enqueued_at__lt=now - AGAIN),
        state=Run.State.QUEUED,
        created_at__lt=now - OVERDUE,
    )
    for run_id in waiting.order_by("pk").values_list("pk", flat=True)[:100]:
        if not enqueue(run_id):
            return
