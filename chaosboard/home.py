"""What the home page answers: is all well, what runs, what comes next, what needs someone."""

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import OuterRef, QuerySet, Subquery
from django.urls import reverse
from django.utils import timezone

from apps.experiments.models import Experiment
from apps.runs.models import Injection, Run
from apps.schedules import cron
from apps.schedules.models import Schedule, Slot
from apps.targets.models import Target

RUNS = Run.objects.select_related("version__experiment", "target").defer("result", "target_document")
RECENT = timedelta(days=1)


def context() -> dict[str, Any]:
    services = _services()
    return {
        "services": services,
        "running": RUNS.exclude(state=Run.State.DONE).order_by("created_at"),
        "upcoming": _upcoming(),
        "needs": _needs(services),
    }


def _last_done(**by: Any) -> Subquery:
    done: QuerySet[Run] = Run.objects.filter(state=Run.State.DONE, **by).order_by("-pk")
    return Subquery(done.values("pk")[:1])


def _services() -> list[dict[str, Any]]:
    targets = list(
        Target.objects.select_related("environment")
        .prefetch_related("nodes")
        .annotate(last=_last_done(target=OuterRef("pk")))
    )
    last = [target.last for target in targets if target.last]
    runs = RUNS.in_bulk(last)
    recoveries = dict(Run.objects.filter(pk__in=last).values_list("pk", "result__recovery"))
    return [
        {
            "target": target,
            "nodes": list(target.nodes.all()),
            "uptime": target.uptime,
            "last_run": runs.get(target.last),
            "recovers_in": (recoveries.get(target.last) or {}).get("time_to_recover_from_injected"),
        }
        for target in targets
    ]


def _upcoming(count: int = 5) -> list[dict[str, Any]]:
    now = timezone.now()
    found = []
    for schedule in Schedule.objects.filter(enabled=True).select_related("experiment"):
        for time in cron.following(schedule.cron, schedule.timezone, now, 2):
            found.append({"when": time.astimezone(ZoneInfo("UTC")), "experiment": schedule.experiment})
    return sorted(found, key=lambda item: item["when"])[:count]


def _needs(services: list[dict[str, Any]]) -> list[dict[str, str]]:
    return [*_left_behind(), *_down(services), *_violated(), *_not_started()]


def _left_behind() -> list[dict[str, str]]:
    rows = Injection.objects.filter(state__in=("stuck", "unverified")).select_related("run__target")
    return [
        {
            "text": f"{row.run.target.name}: {row.line} is {row.state}. {row.text}".strip(),
            "url": reverse("runs:detail", args=[row.run_id]),
        }
        for row in rows[:10]
    ]


def _down(services: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Nodes that do not answer, unless chaosboard is the one who hurts them."""
    hurt = set(Injection.objects.filter(state__in=Injection.HURTING).values_list("run__target", flat=True))
    found = []
    for row in services:
        down = [node for node in row["nodes"] if node.up is False]
        if down and row["target"].pk not in hurt:
            named = ", ".join(node.name for node in down[:4])
            verb = "does" if len(down) == 1 else "do"
            text = f"{row['target'].name}: {named} {verb} not answer: {down[0].answer}"
            found.append({"text": text, "url": reverse("targets:detail", args=[row["target"].pk])})
    return found


def _violated() -> list[dict[str, str]]:
    experiments = Experiment.objects.filter(archived=False).annotate(
        last=_last_done(version__experiment=OuterRef("pk"))
    )
    runs = RUNS.filter(pk__in=[e.last for e in experiments if e.last], verdict="violated")
    return [
        {"text": f"{run.name}: {run.headline or 'violated'}", "url": reverse("runs:report", args=[run.pk])}
        for run in runs[:10]
    ]


def _not_started() -> list[dict[str, str]]:
    slots = Slot.objects.filter(
        state__in=(Slot.State.REFUSED, Slot.State.MISSED), fire_time__gt=timezone.now() - RECENT
    ).select_related("schedule__experiment")
    newest: dict[int, Slot] = {}
    for slot in slots.order_by("fire_time"):
        newest[slot.schedule_id] = slot
    return [
        {
            "text": f"{slot.schedule.experiment.name} was not started at {slot.fire_time:%H:%M} UTC: {slot.reason}",
            "url": reverse("schedules:list"),
        }
        for slot in list(newest.values())[:10]
    ]
