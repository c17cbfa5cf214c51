from celery import shared_task

from apps.schedules import services


@shared_task(name="schedules.tick")
def tick() -> None:
    services.tick()
