"""Which runs a person wants to see. The filter lives in the address, so that it can be sent to others."""

from dataclasses import asdict, dataclass, fields
from datetime import date, datetime, time, timedelta
from typing import Any
from urllib.parse import urlencode

from django.db.models import Q, QuerySet
from django.http import QueryDict
from django.utils import timezone

from apps.experiments.models import Experiment, ExperimentVersion
from apps.runs.models import Label, Run
from apps.targets.models import Target

PAGE = 50
ROWS = Run.objects.select_related("version__experiment", "target").defer(
    "result", "target_document", "version__text"
)
VERDICTS = ("held", "violated", "unknown")


@dataclass(frozen=True)
class Filter:
    """Each field is one part of the address; "" asks for nothing."""

    q: str = ""
    state: str = ""
    verdict: str = ""
    service: str = ""
    experiment: str = ""
    by: str = ""
    since: str = ""
    until: str = ""
    fault: str = ""
    tag: str = ""
    archived: str = ""

    @classmethod
    def of(cls, asked: QueryDict) -> "Filter":
        return cls(**{field.name: asked.get(field.name, "").strip()[:200] for field in fields(cls)})

    @property
    def given(self) -> dict[str, str]:
        return {name: value for name, value in asdict(self).items() if value}

    @property
    def query(self) -> str:
        return urlencode(self.given)

    def rows(self) -> QuerySet[Run]:
        """The runs that are asked for, newest first."""
        found = ROWS.filter(archived=bool(self.archived))
        for name, value in self.given.items():
            if name != "archived":
                found = getattr(self, f"_{name}")(found, value)
        return found.order_by("-pk")

    def _q(self, rows: QuerySet[Run], value: str) -> QuerySet[Run]:
        """In the sentence of the verdict, the names of experiment and service, the tags; or the number."""
        experiments = Experiment.objects.filter(name__icontains=value)
        found = Q(headline__icontains=value) | Q(requested_by__icontains=value)
        found |= Q(version__in=list(_versions(experiments)))
        found |= Q(target__in=list(Target.objects.filter(name__icontains=value).values_list("pk", flat=True)))
        found |= _tagged(value)
        if value.isdecimal() and len(value) < 18:
            found |= Q(pk=int(value))
        return rows.filter(found)

    def _state(self, rows: QuerySet[Run], value: str) -> QuerySet[Run]:
        return rows.filter(state=value)

    def _verdict(self, rows: QuerySet[Run], value: str) -> QuerySet[Run]:
        return rows.filter(verdict=value)

    def _service(self, rows: QuerySet[Run], value: str) -> QuerySet[Run]:
        return rows.filter(target__in=list(Target.objects.filter(name=value).values_list("pk", flat=True)))

    def _experiment(self, rows: QuerySet[Run], value: str) -> QuerySet[Run]:
        by = {"pk": value} if value.isdecimal() and len(value) < 18 else {"name": value}
        return rows.filter(version__in=list(_versions(Experiment.objects.filter(**by))))

    def _by(self, rows: QuerySet[Run], value: str) -> QuerySet[Run]:
        return rows.filter(requested_by=value)

    def _since(self, rows: QuerySet[Run], value: str) -> QuerySet[Run]:
        day = day_of(value)
        return rows.filter(created_at__gte=day) if day else rows

    def _until(self, rows: QuerySet[Run], value: str) -> QuerySet[Run]:
        day = day_of(value)
        return rows.filter(created_at__lt=day + timedelta(days=1)) if day else rows

    def _fault(self, rows: QuerySet[Run], value: str) -> QuerySet[Run]:
        return rows.filter(labels__sort=Label.Sort.FAULT, labels__name=value)

    def _tag(self, rows: QuerySet[Run], value: str) -> QuerySet[Run]:
        return rows.filter(_tagged(value))


def _tagged(name: str) -> Q:
    """Looked up once, and not again for each run."""
    return Q(pk__in=Label.objects.filter(sort=Label.Sort.TAG, name=name.lower()).values("run"))


def _versions(experiments: QuerySet[Experiment]) -> Any:
    return ExperimentVersion.objects.filter(experiment__in=experiments).values_list("pk", flat=True)


def day_of(text: str) -> datetime | None:
    """The first moment of that day in the board's time zone; None where it is no day."""
    try:
        return timezone.make_aware(datetime.combine(date.fromisoformat(text), time()))
    except ValueError:
        return None


@dataclass(frozen=True)
class Page:
    """Some rows, and the numbers from which the pages beside it go on; None where there is none."""

    runs: list[Run]
    older: int | None
    newer: int | None


def page(rows: QuerySet[Run], before: int | None = None, after: int | None = None, size: int = PAGE) -> Page:
    """By the number of the run and not by counting, so that the last page is as fast as the first."""
    if after is not None:
        found = list(rows.filter(pk__gt=after).order_by("pk")[: size + 1])
        more, runs = len(found) > size, found[:size][::-1]
        return Page(runs, runs[-1].pk if runs else None, runs[0].pk if more else None)
    asked = rows if before is None else rows.filter(pk__lt=before)
    found = list(asked[: size + 1])
    runs = found[:size]
    newer = runs[0].pk if before is not None and runs else None
    return Page(runs, runs[-1].pk if len(found) > size else None, newer)


def with_tags(runs: list[Run]) -> list[Run]:
    """The runs, each with its `tags`: one query for all."""
    tags: dict[int, list[str]] = {run.pk: [] for run in runs}
    for pk, name in Label.objects.filter(run__in=list(tags), sort=Label.Sort.TAG).values_list(
        "run_id", "name"
    ):
        tags[pk].append(name)
    for run in runs:
        run.tags = tags[run.pk]  # type: ignore[attr-defined]  # for the list alone
    return runs


def choices() -> dict[str, list[str]]:
    """What can be chosen. Names come from small tables, and from indexes."""
    labels = Label.objects.order_by("name")
    return {
        "services": list(Target.objects.values_list("name", flat=True)),
        "experiments": list(Experiment.objects.values_list("name", flat=True)),
        "faults": _distinct(labels.filter(sort=Label.Sort.FAULT), "name"),
        "tags": _distinct(labels.filter(sort=Label.Sort.TAG), "name"),
        "people": _distinct(Run.objects.exclude(requested_by="").order_by("requested_by"), "requested_by"),
        "verdicts": list(VERDICTS),
        "states": list(Run.State.values),
    }


MOST_CHOICES = 200


def _distinct(rows: QuerySet[Any], column: str) -> list[str]:
    """The different values, each found by one step in the index, however many rows share it."""
    found: list[str] = []
    while len(found) < MOST_CHOICES:
        after = rows.filter(**{f"{column}__gt": found[-1]}) if found else rows
        value = after.order_by(column).values_list(column, flat=True).first()
        if value is None:
            break
        found.append(value)
    return found
