"""Schedules and their slots. Any number of schedulers may tick; a slot's row lets one of them start it."""

import logging
from datetime import datetime, timedelta
from typing import Any

from cronsim import CronSimError
from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.experiments.models import Experiment
from apps.runs.models import Run
from apps.runs.services import request_run
from apps.schedules import cron
from apps.schedules.models import Schedule, Slot
from engine.errors import BadInput, EngineError, Problem, Refused
from engine.text import seconds

FRESH = timedelta(seconds=60)  # a slot that is found later than this was missed

log = logging.getLogger(__name__)


def save_schedule(data: dict[str, Any], *, by: str, instance: Schedule | None = None) -> Schedule:
    """`data`: experiment (a row or a name), cron, timezone, enabled, catch_up. Raises BadInput."""
    schedule = instance or Schedule(created_by=by)
    before = (schedule.cron, schedule.timezone, schedule.enabled) if instance else None
    problems = _take(schedule, data)
    try:
        cron.check(schedule.cron, schedule.timezone)
    except BadInput as error:
        problems += error.problems
    if problems:
        raise BadInput(problems)
    if before != (schedule.cron, schedule.timezone, schedule.enabled):
        schedule.since = timezone.now()  # times of another plan, or of a pause, are not missed ones
    schedule.save()
    return schedule


def _take(schedule: Schedule, data: dict[str, Any]) -> list[Problem]:
    problems = [
        Problem(str(key), "unknown key; there are: experiment, cron, timezone, enabled, catch_up")
        for key in data
        if key not in ("experiment", "cron", "timezone", "enabled", "catch_up")
    ]
    if "experiment" in data or not schedule.pk:
        experiment = data.get("experiment")
        if not isinstance(experiment, Experiment):
            experiment = Experiment.objects.filter(name=str(experiment or ""), archived=False).first()
        if experiment is None:
            problems.append(Problem("experiment", "is missing: which experiment is to be started?"))
        else:
            schedule.experiment = experiment
    schedule.cron = " ".join(str(data.get("cron", schedule.cron)).split())[:100]
    schedule.timezone = str(data.get("timezone", schedule.timezone)).strip()
    enabled = data.get("enabled", schedule.enabled)
    if not isinstance(enabled, bool):
        problems.append(Problem("enabled", f"{enabled!r} is neither true nor false"))
    else:
        schedule.enabled = enabled
    schedule.catch_up = str(data.get("catch_up", schedule.catch_up))
    if schedule.catch_up not in Schedule.CatchUp.values:
        known = ", ".join(Schedule.CatchUp.values)
        problems.append(Problem("catch_up", f"{schedule.catch_up!r} is not one of {known}"))
    return problems


def delete_schedule(schedule: Schedule) -> None:
    schedule.delete()


def tick(now: datetime | None = None) -> list[Slot]:
    """Starts what is due and records what was missed; returns the slots that this call made."""
    now = now or timezone.now()
    made: list[Slot] = []
    for schedule in Schedule.objects.filter(enabled=True).select_related("experiment__target"):
        try:
            made += _tick(schedule, now)
        except (CronSimError, LookupError, ValueError, OverflowError) as error:
            log.warning("schedule %s cannot be worked out: %r", schedule.pk, error)
    return made


def _tick(schedule: Schedule, now: datetime) -> list[Slot]:
    last = schedule.slots.order_by("-fire_time").values_list("fire_time", flat=True).first()
    start = max(last, schedule.since) if last else schedule.since
    due = cron.between(schedule.cron, schedule.timezone, start, now)
    if not due.times:
        return []
    *older, newest = due.times
    missed = [_missed(schedule, time, now) for time in older]
    if now - newest <= FRESH or schedule.catch_up == Schedule.CatchUp.NEWEST:
        made = _start(schedule, newest)
    else:
        missed.append(_missed(schedule, newest, now))
        made = None
    if missed and due.more:
        missed[0].reason += " Earlier ones were missed too; they are not listed."
    Slot.objects.bulk_create(missed, ignore_conflicts=True)
    return [*missed, *([made] if made else [])]


def _missed(schedule: Schedule, time: datetime, now: datetime) -> Slot:
    late = seconds((now - time).total_seconds())
    reason = f"No scheduler was running then; it was found {late} later."
    return Slot(schedule=schedule, fire_time=time, state=Slot.State.MISSED, reason=reason)


@transaction.atomic
def _start(schedule: Schedule, time: datetime) -> Slot | None:
    """The slot and its run, together or not at all; None where another scheduler has it."""
    try:
        with transaction.atomic():
            slot = Slot.objects.create(schedule=schedule, fire_time=time)
    except IntegrityError:
        return None
    try:
        _refuse_if_busy(schedule)
        with transaction.atomic():
            slot.run = request_run(
                schedule.experiment, by=schedule.created_by, trigger=f"schedule {schedule.pk}"
            )
            slot.state = Slot.State.STARTED
    except EngineError as error:
        slot.state, slot.reason = Slot.State.REFUSED, str(error)
    slot.save()
    return slot


def _refuse_if_busy(schedule: Schedule) -> None:
    """A run started by hand may wait for its turn; those of a schedule would pile up."""
    target = schedule.experiment.target
    busy = Run.objects.filter(target=target).exclude(state=Run.State.DONE).order_by("pk").first()
    if busy:
        what = "is still running" if busy.state == Run.State.RUNNING else "is still waiting"
        raise Refused(f"{target.name} is busy: run {busy.pk} of {busy.name} {what}.")
