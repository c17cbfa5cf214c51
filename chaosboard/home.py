"""What the home page answers: is all well, what runs, what comes next, what needs someone."""

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import OuterRef, QuerySet, Subquery
from django.utils import timezone

from apps.live.relay import Relay
from apps.monitors import uptime
from apps.reports import trials
from apps.reports.resilience import Trial
from apps.runs.models import Run
from apps.schedules import cron
from apps.schedules.models import Schedule
from apps.targets.models import Target
from chaosboard.needs import needs
from engine.errors import EngineError
from engine.plan import plan

RUNS = Run.objects.select_related("version__experiment", "target").defer("result", "target_document")
TREND = 90  # days
STOPPED = ("aborted", "halted")


def context() -> dict[str, Any]:
    targets = _targets()
    found = trials.trials_of([target.pk for target in targets])
    services = _services(targets, found)
    return {
        "services": services,
        "running": [_running(run) for run in RUNS.exclude(state=Run.State.DONE).order_by("created_at")],
        "upcoming": _upcoming(),
        "needs": needs(services),
        "trend": _trend(targets, found),
        "trend_days": TREND,
    }


def _last_finished(**by: Any) -> Subquery:
    """One that somebody stopped says nothing of the service."""
    done: QuerySet[Run] = Run.objects.filter(state=Run.State.DONE, **by).exclude(ending__in=STOPPED)
    return Subquery(done.order_by("-pk").values("pk")[:1])


def _targets() -> list[Target]:
    return list(
        Target.objects.select_related("environment")
        .prefetch_related("nodes", "depends_on")
        .annotate(last=_last_finished(target=OuterRef("pk")))
    )


def _services(targets: list[Target], found: dict[int, list[Trial]]) -> list[dict[str, Any]]:
    runs = RUNS.in_bulk([target.last for target in targets if target.last])
    seen, scores = uptime.seen(targets), trials.scores(targets)
    return [
        {
            "target": target,
            "nodes": list(target.nodes.all()),
            "seen": seen[target.pk],
            "uptime": seen[target.pk].day.share,
            "last_run": runs.get(target.last),
            "score": scores[target.pk],
            **_recovers(found.get(target.pk, [])),
        }
        for target in targets
    ]


def _recovers(found: list[Trial]) -> dict[str, Any]:
    """How long it took last, or in words why there is no such time."""
    if not found:
        return {"recovers_in": None, "recovers": "never tested"}
    newest = found[0]
    if newest.recovered_in is not None:
        return {"recovers_in": newest.recovered_in, "recovers": ""}
    words = {True: "no outage", False: "did not", None: "unknown"}
    return {"recovers_in": None, "recovers": words[newest.recovers]}


def _running(run: Run) -> dict[str, Any]:
    """A run that waits or runs, with how far it is in its plan."""
    found: dict[str, Any] = {"run": run, "watching": Relay.watching(run.channel)}
    if not run.started_at:
        return found
    try:
        planned = plan(run.version.to_engine(), run.target.to_engine(), str(run.pk)).to_dict()
    except EngineError:  # the service was changed since it was asked for
        return found
    total = planned["duration"] or 1.0
    passed = min((timezone.now() - run.started_at).total_seconds(), total)
    faults = [
        {"from": _share(step["start"], total), "wide": _share(step["end"] - step["start"], total)}
        for step in planned["steps"]
    ]
    return {**found, "passed": passed, "total": total, "done": _share(passed, total), "faults": faults}


def _share(part: float, whole: float) -> float:
    return round(100 * part / whole, 2)


def _upcoming(count: int = 5) -> list[dict[str, Any]]:
    now = timezone.now()
    found = []
    schedules = Schedule.objects.filter(enabled=True).select_related("experiment__target__environment")
    for schedule in schedules:
        for time in cron.following(schedule.cron, schedule.timezone, now, 2):
            found.append(
                {
                    "when": time.astimezone(ZoneInfo("UTC")),
                    "experiment": schedule.experiment,
                    "target": schedule.experiment.target,
                    "zone": schedule.timezone,
                }
            )
    return sorted(found, key=lambda item: item["when"])[:count]


def _trend(targets: list[Target], found: dict[int, list[Trial]]) -> list[dict[str, Any]]:
    """By service: when its judged runs were, and how long each took to recover, in seconds."""
    now, lines = timezone.now(), []
    for target in targets:
        known = [
            t for t in reversed(found.get(target.pk, [])) if t.recovered_in is not None and t.age <= TREND
        ]
        if known:
            at = [(now - timedelta(days=trial.age)).isoformat() for trial in known]
            lines.append(
                {
                    "name": target.name,
                    "x": at,
                    "y": [t.recovered_in for t in known],
                    "runs": [t.run for t in known],
                }
            )
    return lines
