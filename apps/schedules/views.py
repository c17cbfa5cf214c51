from typing import Any
from zoneinfo import ZoneInfo

from cronsim import CronSimError
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from apps.experiments.models import Experiment
from apps.schedules import cron, services
from apps.schedules.forms import ScheduleForm
from apps.schedules.models import Schedule, Slot
from engine.errors import BadInput

page = require_http_methods(["GET", "HEAD", "POST"])


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    schedules = list(Schedule.objects.select_related("experiment__target"))
    for schedule in schedules:
        schedule.words = cron.words(schedule.cron)
        schedule.next = next(iter(_following(schedule.cron, schedule.timezone, 1)), None)
    slots = Slot.objects.select_related("schedule__experiment", "run")[:40]
    context = {"schedules": schedules, "slots": slots, "any_experiment": Experiment.objects.exists()}
    return render(request, "schedules/list.html", context)


def _following(line: str, zone: str, count: int = 5) -> list[str]:
    """The next fire times as clocks in that zone show them."""
    try:
        times = cron.following(line, zone, timezone.now(), count)
    except (CronSimError, LookupError, ValueError):
        return []
    return [f"{time.astimezone(ZoneInfo(zone)):%a %-d %b %Y, %H:%M %Z}" for time in times]


@require_safe
def preview(request: HttpRequest) -> HttpResponse:
    return render(request, "schedules/_preview.html", _preview(request.GET))


def _preview(data: Any) -> dict[str, Any]:
    line, zone = str(data.get("cron") or "").strip(), str(data.get("timezone") or "").strip()
    if not line:
        return {}
    try:
        cron.check(line, zone)
    except BadInput as error:
        return {"problems": error.problems}
    return {"words": cron.words(line), "times": _following(line, zone), "zone": zone}


@page
def add(request: HttpRequest) -> HttpResponse:
    wanted = request.GET.get("experiment", "")
    initial = {"experiment": wanted if wanted.isdecimal() else None, "timezone": settings.TIME_ZONE}
    return _edit(request, None, {**initial, "cron": "0 3 * * *", "enabled": True})


@page
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    schedule = get_object_or_404(Schedule, pk=pk)
    names = ("experiment", "cron", "timezone", "enabled", "catch_up")
    return _edit(request, schedule, {name: getattr(schedule, name) for name in names})


def _edit(request: HttpRequest, schedule: Schedule | None, initial: dict[str, Any]) -> HttpResponse:
    form = ScheduleForm(request.POST if request.method == "POST" else None, initial=initial)
    if form.is_bound and form.is_valid():
        try:
            saved = services.save_schedule(form.values(), by=request.user.get_username(), instance=schedule)
        except BadInput as error:
            form.add_problems(error)
        else:
            messages.success(
                request, f"{saved.experiment} is scheduled: {cron.words(saved.cron)}, {saved.timezone}."
            )
            return redirect("schedules:list")
    context = {"form": form, "schedule": schedule, **_preview(form.data if form.is_bound else initial)}
    context["zones"] = cron.common_zones()
    context["slots"] = schedule.slots.select_related("run")[:20] if schedule else []
    return render(request, "schedules/edit.html", context, status=400 if form.is_bound else 200)


@page
def delete(request: HttpRequest, pk: int) -> HttpResponse:
    schedule = get_object_or_404(Schedule, pk=pk)
    if request.method == "POST":
        services.delete_schedule(schedule)
        messages.success(request, "The schedule is deleted. Runs that it started stay.")
        return redirect("schedules:list")
    return render(request, "schedules/delete.html", {"schedule": schedule})
