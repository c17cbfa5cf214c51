from celery import shared_task

from apps.histories import services


@shared_task(name="histories.judge")
def judge(pk: int) -> None:
    services.perform(pk)
