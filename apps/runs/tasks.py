from celery import shared_task

from apps.runs import services


@shared_task(name="runs.execute")
def execute(run_id: int) -> None:
    services.execute(run_id)


@shared_task(name="runs.tick")
def tick() -> None:
    services.tick()
