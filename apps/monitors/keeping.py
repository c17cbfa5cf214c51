"""What looks become: buckets of minutes and hours, and incidents. Old ones go."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q

from apps.monitors.models import Bucket, Incident, Status
from apps.targets.models import Target

KEPT = {Bucket.Span.MINUTE: timedelta(days=2), Bucket.Span.HOUR: timedelta(days=400)}
INCIDENTS_KEPT = 500  # of each service
HURTING = ("fault", "recovery")  # the phases of a run in which a service need not be well
DISTURBED = ("injecting", "active", "healing", "unverified", "stuck")  # states of an injection


def status_of(nodes: Iterable[Mapping[str, Any]]) -> str:
    """Of a service, from whether each of its nodes answered."""
    seen = [bool(node["reachable"]) for node in nodes]
    return Status.UP if all(seen) else Status.PART if any(seen) else Status.DOWN


def hurt_by_us(targets: Iterable[Target]) -> set[int]:
    """Those that an experiment of ours hurts now, or that recover from it while their run goes on."""
    ours = Q(runs__state="running", runs__phase__in=HURTING) | Q(runs__injections__state__in=DISTURBED)
    return set(
        Target.objects.filter(ours, pk__in=[t.pk for t in targets]).values_list("pk", flat=True).distinct()
    )


@transaction.atomic
def keep(looks: Mapping[Target, dict[str, Any]], now: datetime) -> None:
    """Stores what was seen of each target at `now`."""
    hurt = hurt_by_us(looks)
    for span in Bucket.Span:
        _count(looks, hurt, span, now)
    open_ones = {i.target_id: i for i in Incident.objects.filter(target__in=looks, ended_at=None)}
    for target, seen in looks.items():
        _note(target, seen, open_ones.get(target.pk), target.pk in hurt, now)


def _count(looks: Mapping[Target, dict[str, Any]], hurt: set[int], span: int, now: datetime) -> None:
    start = floor(now, span)
    found = {b.target_id: b for b in Bucket.objects.filter(target__in=looks, span=span, start=start)}
    fresh = []
    for target, seen in looks.items():
        bucket = found.get(target.pk) or Bucket(target=target, span=span, start=start)
        bucket.take(status_of(seen["nodes"]), target.pk in hurt, target.look_every)
        if target.pk not in found:
            fresh.append(bucket)
    Bucket.objects.bulk_update(found.values(), ["up", "part", "down", "hurt", "seconds"])
    Bucket.objects.bulk_create(fresh)
    if fresh and span == Bucket.Span.HOUR:
        _forget([bucket.target_id for bucket in fresh], now)


def _note(target: Target, seen: dict[str, Any], known: Incident | None, hurt: bool, now: datetime) -> None:
    """Begins, continues or ends the incident of a target."""
    status = status_of(seen["nodes"])
    if status == Status.UP:
        if known:
            known.ended_at = now
            known.save(update_fields=["ended_at"])
        return
    if known is None:
        answer = next(f"{n['name']}: {n['answer']}" for n in seen["nodes"] if not n["reachable"])[:300]
        known = Incident(target=target, status=status, hurt=hurt, answer=answer, began_at=now)
    known.seen_at = now
    known.hurt = known.hurt and hurt  # what lasts longer than our hurting is an incident like any other
    if status == Status.DOWN:
        known.status = status
    known.save()


def _forget(targets: list[int], now: datetime) -> None:
    for span, age in KEPT.items():
        Bucket.objects.filter(target__in=targets, span=span, start__lt=now - age).delete()
    for pk in targets:
        old = Incident.objects.filter(target=pk).values_list("pk", flat=True)[INCIDENTS_KEPT:]
        Incident.objects.filter(pk__in=list(old)).delete()


def floor(moment: datetime, span: int) -> datetime:
    """The beginning of the minute or hour (in UTC) that `moment` lies in."""
    return datetime.fromtimestamp(moment.timestamp() // span * span, moment.tzinfo)
