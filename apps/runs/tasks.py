from typing import Any

from celery import shared_task

from apps.runs import carrying, services
from engine import far as far_end
from engine import state


@shared_task(name="runs.execute")
def execute(run_id: int) -> None:
    services.execute(run_id)


@shared_task(name="runs.tick")
def tick() -> None:
    services.tick()


@shared_task(name="runs.heal_far")
def heal_far() -> None:
    carrying.heal()


@shared_task(name="runs.far")
def far(message: dict[str, Any], to: str) -> None:
    carrying.reply(to, far_end.answer(state.root(), message))
