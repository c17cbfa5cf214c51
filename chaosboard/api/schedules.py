from typing import Any

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Router, Status

from apps.schedules import cron, services
from apps.schedules.models import Schedule
from chaosboard.api.answers import body, takes

router = Router()
SCHEDULE = takes(
    {
        "experiment": {"type": "string", "description": "its name"},
        "cron": {"type": "string", "description": "five fields, as in 30 2 * * 1-5"},
        "timezone": {"type": "string", "default": "UTC"},
        "enabled": {"type": "boolean", "default": True},
        "catch_up": {"type": "string", "enum": list(Schedule.CatchUp.values), "default": "skip"},
    },
    ["experiment", "cron"],
)


@router.get("", summary="All schedules")
def index(request: HttpRequest) -> Any:
    return {"schedules": [_schedule(s) for s in Schedule.objects.select_related("experiment")]}


@router.post("", response={201: dict[str, Any]}, summary="Set a time", openapi_extra=SCHEDULE)
def create(request: HttpRequest) -> Any:
    return Status(201, _schedule(services.save_schedule(body(request), by=request.user.get_username())))


@router.delete("/{int:pk}", response={204: None}, summary="Delete a schedule")
def delete(request: HttpRequest, pk: int) -> Any:
    services.delete_schedule(get_object_or_404(Schedule, pk=pk))
    return Status(204, None)


def _schedule(schedule: Schedule) -> dict[str, Any]:
    return {
        "id": schedule.pk,
        "experiment": schedule.experiment.name,
        "cron": schedule.cron,
        "words": cron.words(schedule.cron),
        "timezone": schedule.timezone,
        "enabled": schedule.enabled,
        "catch_up": schedule.catch_up,
    }
