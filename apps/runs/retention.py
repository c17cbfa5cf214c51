"""Which runs are old enough to go, and their going: rows and files. Without a rule nothing ever goes."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from apps.runs import bulk
from apps.runs.models import Injection, Judgement, Label, Retention, Run

MOST = 1_000_000  # runs or days that a rule may say
AT_ONCE = 5_000  # runs that one sweep deletes; the next day's goes on


@dataclass(frozen=True)
class Rules:
    """None is no rule of that kind. A run goes when one rule says so and nothing keeps it."""

    keep_last: int | None = None
    keep_days: int | None = None
    keep_tagged: bool = True
    keep_violated: bool = True


@dataclass(frozen=True)
class Row:
    """What the rules need to know of a run."""

    pk: int
    experiment: int
    finished_at: datetime | None
    verdict: str
    tagged: bool


def leaving(rows: Iterable[Row], rules: Rules, now: datetime) -> list[int]:
    """Which runs go, in the order of the rows. `rows` are those that are over, newest first. Pure.

    The last runs of an experiment are counted over all of them, also those that are kept for another reason.
    """
    seen: dict[int, int] = {}
    oldest = now - timedelta(days=rules.keep_days) if rules.keep_days is not None else None
    found = []
    for row in rows:
        seen[row.experiment] = seen.get(row.experiment, 0) + 1
        too_many = rules.keep_last is not None and seen[row.experiment] > rules.keep_last
        too_old = oldest is not None and row.finished_at is not None and row.finished_at < oldest
        kept = (rules.keep_tagged and row.tagged) or (rules.keep_violated and row.verdict == "violated")
        if (too_many or too_old) and not kept:
            found.append(row.pk)
    return found


def current() -> Rules:
    row = Retention.objects.first()
    return Rules(row.keep_last, row.keep_days, row.keep_tagged, row.keep_violated) if row else Rules()


def save(rules: Rules, by: str) -> None:
    row = Retention.objects.first() or Retention()
    row.keep_last, row.keep_days = rules.keep_last, rules.keep_days
    row.keep_tagged, row.keep_violated, row.changed_by = rules.keep_tagged, rules.keep_violated, by
    row.save()


def due(rules: Rules, now: datetime | None = None) -> list[int]:
    """The runs that a sweep would delete now: the dry run. What still hurts never goes."""
    if rules.keep_last is None and rules.keep_days is None:
        return []
    # looked up once: asked of each run by itself they took 41 s of 100,000 runs on SQLite
    tagged = _runs(Label.objects.filter(sort=Label.Sort.TAG))
    hurting = _runs(Injection.objects.filter(state__in=Injection.HURTING))
    once = _runs(Judgement.objects.filter(verdict="violated"))
    done = Run.objects.filter(state=Run.State.DONE).order_by("-pk")
    values = done.values_list("pk", "version__experiment_id", "finished_at", "verdict")
    rows = (
        Row(pk, experiment, at, "violated" if pk in once else verdict, pk in tagged)
        for pk, experiment, at, verdict in values.iterator(5_000)
        if pk not in hurting
    )
    return leaving(rows, rules, now or timezone.now())


def _runs(rows: QuerySet[Any]) -> set[int]:
    return set(rows.values_list("run_id", flat=True))


def of(pks: list[int]) -> QuerySet[Run]:
    return Run.objects.filter(pk__in=pks)


def sweep(now: datetime | None = None) -> int:
    """Deletes what the stored rules no longer keep; how many runs went."""
    pks = sorted(due(current(), now))[:AT_ONCE]
    gone = 0
    for i in range(0, len(pks), bulk.BATCH):
        gone += bulk.delete(of(pks[i : i + bulk.BATCH]))[0]
    Retention.objects.update(swept_at=timezone.now(), swept=gone)
    return gone
