"""A week in three answers: what was tested, what got worse, what is untested."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from django.db.models import Max, QuerySet

from apps.runs.models import Figures
from apps.targets.models import Target
from engine.text import count

WEEK = timedelta(days=7)
BEFORE = timedelta(days=28)  # against which the week is held
LONGER = 1.25  # times the usual: a recovery that took so long got worse
LESS = 0.01  # of availability
VERDICTS = ("held", "violated", "unknown")
STALE = timedelta(days=30)  # a service that was last tested before this is untested


@dataclass(frozen=True)
class Tested:
    """One experiment in the week: how many runs came to which verdict."""

    experiment: str
    pk: int
    service: str
    held: int
    violated: int
    unknown: int
    recover: float | None

    @property
    def runs(self) -> int:
        return self.held + self.violated + self.unknown


@dataclass(frozen=True)
class Worse:
    experiment: str
    pk: int
    run: int
    text: str


@dataclass(frozen=True)
class Untested:
    service: str
    pk: int
    last: datetime | None


@dataclass(frozen=True)
class Week:
    start: datetime
    end: datetime
    tested: list[Tested]
    worse: list[Worse]
    untested: list[Untested]
    services: int  # that are registered

    @property
    def runs(self) -> int:
        return sum(one.runs for one in self.tested)

    @property
    def subject(self) -> str:
        if not self.tested:
            return "Nothing was tested this week"
        counts = {word: sum(getattr(one, word) for one in self.tested) for word in VERDICTS}
        verdicts = ", ".join(f"{number} {word}" for word, number in counts.items() if number)
        worse = f"; {count(len(self.worse), 'experiment')} got worse" if self.worse else ""
        return f"{count(self.runs, 'run')}: {verdicts}{worse}"


def week(end: datetime) -> Week:
    """The seven days until `end`, held against the four weeks before them."""
    start = end - WEEK
    rows = Figures.objects.select_related("experiment", "target").order_by("run_id")
    now = _by_experiment(rows.filter(at__gte=start, at__lt=end))
    before = _by_experiment(rows.filter(at__gte=start - BEFORE, at__lt=start, experiment__in=list(now)))
    tested = [_tested(rows) for rows in now.values()]
    worse = [w for pk, rows in now.items() if (w := _worse(rows, before.get(pk, [])))]
    return Week(
        start,
        end,
        sorted(tested, key=lambda t: (-t.violated, t.experiment)),
        worse,
        _untested(end),
        Target.objects.count(),
    )


def _by_experiment(rows: QuerySet[Figures]) -> dict[int, list[Figures]]:
    found: dict[int, list[Figures]] = {}
    for row in rows:
        found.setdefault(row.experiment_id, []).append(row)
    return found


def _tested(rows: list[Figures]) -> Tested:
    verdicts = [row.verdict for row in rows]
    first = rows[0]
    counts = (verdicts.count(word) for word in VERDICTS)
    return Tested(
        first.experiment.name, first.experiment_id, first.target.name, *counts, _usual(rows, "recover")
    )


def _usual(rows: list[Figures], name: str) -> float | None:
    known = [value for row in rows if (value := getattr(row, name)) is not None]
    return median(known) if known else None


def _worse(now: list[Figures], before: list[Figures]) -> Worse | None:
    """The newest run in which it shows; None where nothing did, or there was nothing before."""
    if not before:
        return None
    parts = []
    broke = [row for row in now if row.verdict == "violated"]
    if broke and not any(row.verdict == "violated" for row in before):
        parts.append("a promise was broken that had held for four weeks")
    took, usual = _usual(now, "recover"), _usual(before, "recover")
    error = max(row.uncertainty or 0.0 for row in now)
    if took is not None and usual is not None and took > usual * LONGER + error:
        parts.append(f"recovers in {took:.2f} s, before in {usual:.2f} s (medians)")
    share, was = _usual(now, "availability"), _usual(before, "availability")
    if share is not None and was is not None and was - share > LESS:
        parts.append(f"availability {share:.2%}, before {was:.2%} (medians)")
    if not parts:
        return None
    first = now[0]
    return Worse(first.experiment.name, first.experiment_id, (broke or now)[-1].run_id, "; ".join(parts))


def _untested(end: datetime) -> list[Untested]:
    """Services whose last run that came to a verdict is old, or that have none; never tested first."""
    known = Figures.objects.exclude(verdict="unknown").filter(at__lt=end)
    last = dict(known.values_list("target").annotate(last=Max("at")).values_list("target", "last"))
    found = [
        Untested(name, pk, last.get(pk))
        for pk, name in Target.objects.values_list("pk", "name")
        if last.get(pk) is None or last[pk] < end - STALE
    ]
    return sorted(found, key=lambda one: (one.last is not None, one.last or end, one.service))
