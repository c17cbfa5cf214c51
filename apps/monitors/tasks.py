from celery import shared_task

from apps.monitors import services


@shared_task(name="monitors.tick")
def tick() -> None:
    services.tick()
