"""What needs someone: the worst first, each with the page where it can be answered."""

from datetime import timedelta
from typing import Any

from django.db.models import OuterRef, Subquery
from django.urls import reverse
from django.utils import timezone

from apps.experiments.models import Experiment
from apps.monitors.keeping import hurt_by_us
from apps.runs.models import Injection, Run
from apps.schedules.models import Slot

RECENT = timedelta(days=1)
MOST = 10  # of each kind

Need = dict[str, str]  # text, note, url, and tone: bad, warn or quiet


def needs(services: list[dict[str, Any]]) -> list[Need]:
    return [*_left_behind(), *_down(services), *_violated(), *_ageing(services), *_not_started()]


def _left_behind() -> list[Need]:
    rows = Injection.objects.filter(state__in=("stuck", "unverified")).select_related("run__target")
    return [
        {
            "text": f"{row.run.target.name}: {row.line} is {row.state}. {row.text}".strip(),
            "note": "look at the system, then heal it or close it",
            "url": reverse("runs:hurt"),
            "tone": "bad",
        }
        for row in rows[:MOST]
    ]


def _down(services: list[dict[str, Any]]) -> list[Need]:
    """Nodes that do not answer, unless chaosboard is the one who hurts them."""
    silent = [row for row in services if any(node.up is False for node in row["nodes"])]
    hurt = hurt_by_us(row["target"] for row in silent)
    found = []
    for row in (row for row in silent if row["target"].pk not in hurt):
        down = [node for node in row["nodes"] if node.up is False]
        named = ", ".join(node.name for node in down[:4])
        verb = "does" if len(down) == 1 else "do"
        found.append(
            {
                "text": f"{row['target'].name}: {named} {verb} not answer: {down[0].answer}",
                "note": "no experiment of ours hurts it now",
                "url": reverse("targets:detail", args=[row["target"].pk]),
                "tone": "bad",
            }
        )
    return found


def _violated() -> list[Need]:
    judged = Run.objects.filter(
        state=Run.State.DONE, verdict__in=("held", "violated")
    )  # unknown answers nothing
    last = judged.filter(version__experiment=OuterRef("pk")).order_by("-pk")
    newest = Experiment.objects.filter(archived=False).annotate(last=Subquery(last.values("pk")[:1]))
    runs = Run.objects.select_related("version__experiment", "target").defer("result", "target_document")
    runs = runs.filter(pk__in=[e.last for e in newest if e.last], verdict="violated")
    return [
        {
            "text": f"{run.target.name}: {run.headline or 'a promise was broken'}",
            "note": f"{run.name} · run {run.pk}",
            "url": reverse("runs:report", args=[run.pk]),
            "tone": "bad",
        }
        for run in runs.order_by("-pk")[:MOST]
    ]


def _ageing(services: list[dict[str, Any]]) -> list[Need]:
    return [
        {
            "text": f"{row['target'].name} has not been tested for {int(row['score'].age)} days",
            "note": "its score is ageing: run its experiments again",
            "url": reverse("targets:detail", args=[row["target"].pk]),
            "tone": "warn",
        }
        for row in services
        if row["score"].ageing
    ][:MOST]


def _not_started() -> list[Need]:
    slots = Slot.objects.filter(
        state__in=(Slot.State.REFUSED, Slot.State.MISSED, Slot.State.SKIPPED),
        fire_time__gt=timezone.now() - RECENT,
    ).select_related("schedule__experiment")
    newest: dict[int, Slot] = {}
    for slot in slots.order_by("fire_time"):
        newest[slot.schedule_id] = slot
    return [
        {
            "text": f"{slot.schedule.experiment.name} was not started at {slot.fire_time:%H:%M} UTC: {slot.reason}",
            "note": f"its schedule · {slot.state}",
            "url": reverse("schedules:list"),
            "tone": "quiet",
        }
        for slot in list(newest.values())[:MOST]
    ]
