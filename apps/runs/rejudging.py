"""A stored run, judged again with today's checkers, from its files alone. What was said before is kept."""

import logging
from typing import Any

from celery import current_app
from django.conf import settings
from django.db import transaction
from kombu.exceptions import KombuError, OperationalError

from apps.live.publish import reachable
from apps.runs import figures
from apps.runs.models import Judgement, Run
from engine import judge
from engine.errors import EngineError, Refused

log = logging.getLogger(__name__)
TOLD = ("time_to_detect", "time_to_recover_from_injected", "time_to_recover_from_healed", "availability")


def enqueue(pk: int, by: str) -> None:
    """Asks a worker. Raises Refused where the broker is away: nothing is remembered of it then."""
    try:
        if not (settings.REDIS_URL and reachable()):
            raise OperationalError("Redis is away")
        current_app.send_task("runs.judge_again", args=[pk, by], queue="runs", retry=False)
    except (OperationalError, KombuError, OSError) as error:
        raise Refused(f"No worker can be asked to judge run {pk}: {error}.", "Is Redis up?") from None


def judge_again(pk: int, by: str) -> Judgement | None:
    """Judges run `pk` from its directory; the judgement that was replaced, or None where nothing changed.

    Raises Refused where the run is not over or its files are gone.
    """
    run = Run.objects.select_related("version__experiment", "target").get(pk=pk)
    if not run.done:
        raise Refused(f"Run {pk} is not over.", "Wait for its verdict.")
    if not (run.directory / "events.jsonl").exists():
        raise Refused(f"The files of run {pk} are gone, so that it cannot be judged again.")
    old = run.result or {}
    ending, reason = run.ending or "finished", old.get("ending_reason") or ""
    try:
        new = judge.judge(run.directory, ending=ending, reason=reason)
    except (EngineError, OSError, ValueError, KeyError, TypeError) as error:
        raise Refused(f"The files of run {pk} cannot be judged: {error}.") from None
    return _replace(run, old, new, by)


def _replace(run: Run, old: dict[str, Any], new: dict[str, Any], by: str) -> Judgement | None:
    if old == new:
        return None
    with transaction.atomic():
        before = Judgement.objects.create(
            run=run, by=by, verdict=run.verdict, headline=run.headline, result=run.result
        )
        Run.objects.filter(pk=run.pk).update(verdict=new["verdict"], headline=new["headline"], result=new)
        figures.store(run, new)
    return before


def changes(old: dict[str, Any] | None, new: dict[str, Any] | None) -> list[dict[str, Any]]:
    """What differs between two results of one run: name, before, now. Verdicts first, then figures."""
    old, new = old or {}, new or {}
    found = [_change("verdict", old.get("verdict"), new.get("verdict"))]
    for part in ("expectations", "checks"):
        before, now = ({item["name"]: item for item in result.get(part) or []} for result in (old, new))
        for name in sorted({*before, *now}):
            found.append(_change(name, _said(before.get(name)), _said(now.get(name))))
    for name in TOLD:
        found.append(
            _change(name, *((result.get("recovery") or {}).get(name) for result in (old, new)), figure=True)
        )
    found.append(_change("sentence", old.get("headline"), new.get("headline")))
    return [change for change in found if change["before"] != change["now"]]


def _change(name: str, before: Any, now: Any, *, figure: bool = False) -> dict[str, Any]:
    return {"name": name, "before": before, "now": now, "figure": figure}


def _said(item: dict[str, Any] | None) -> str | None:
    if item is None:
        return None
    measured = item.get("measured") or item.get("headline") or ""
    return f"{item['verdict']}{f': {measured}' if measured else ''}"
