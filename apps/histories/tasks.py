from celery import shared_task

from apps.histories import services


@shared_task(name="histories.judge")
def judge(pk: int) -> None:
    services.perform(pk)


@shared_task(name="histories.tick")
def tick() -> None:
    services.tick()
