"""One beat a second for all that is light: a message costs more than what these do."""

import logging

from celery import shared_task

from apps.histories import services as histories
from apps.runs import services as runs
from apps.schedules import services as schedules

TICKS = (
    schedules.tick,
    histories.tick,
    runs.tick,
)  # the last may have a silent run to end, which takes a while

log = logging.getLogger(__name__)


@shared_task(name="board.tick")
def tick() -> None:
    """What fails keeps no other from its turn, and has its own in a second."""
    for one in TICKS:
        try:
            one()
        except Exception:
            log.exception("%s did not come to its end", one.__module__)
