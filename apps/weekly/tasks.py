from celery import shared_task

from apps.weekly import services


@shared_task(name="weekly.tick")
def tick() -> None:
    services.tick()
