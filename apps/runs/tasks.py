import logging
from typing import Any

from celery import shared_task

from apps.runs import carrying, rejudging, retention, services
from engine import far as far_end
from engine import state
from engine.errors import Refused

log = logging.getLogger(__name__)


@shared_task(name="runs.execute")
def execute(run_id: int) -> None:
    services.execute(run_id)


@shared_task(name="runs.heal_far")
def heal_far() -> None:
    carrying.heal()


@shared_task(name="runs.far")
def far(message: dict[str, Any], to: str) -> None:
    carrying.reply(to, far_end.answer(state.root(), message))


@shared_task(name="runs.judge_again")
def judge_again(run_id: int, by: str) -> None:
    try:
        rejudging.judge_again(run_id, by)
    except Refused as error:
        log.warning("%s", error)


@shared_task(name="runs.sweep")
def sweep() -> None:
    retention.sweep()
