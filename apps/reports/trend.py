"""The figures of many runs over time. Pure, but for `points`, which reads the narrow table."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from statistics import mean
from typing import Any

from django.db.models import QuerySet

from apps.runs.models import Figures

MOST = 2000  # runs on one chart
SPAN = 5  # runs that a moving mean takes in


@dataclass(frozen=True)
class Point:
    """One run; times in seconds, None where it never happened."""

    run: int
    at: datetime
    verdict: str
    detect: float | None
    recover: float | None
    uncertainty: float | None
    availability: float | None
    broken: bool
    version: int = 1
    target_version: str = ""
    target_print: str = ""
    experiment: str = ""


@dataclass(frozen=True)
class Mark:
    """From this run on something is different: the experiment, or the target that it hurts."""

    run: int
    at: datetime
    text: str


def points(figures: QuerySet[Figures], most: int = MOST) -> list[Point]:
    """The newest runs of these, oldest first."""
    names = [name for name in Point.__dataclass_fields__ if name not in ("run", "experiment")]
    rows = figures.order_by("-run_id").values_list("run_id", "experiment__name", *names)[:most]
    found = [
        Point(run=run, experiment=name, **dict(zip(names, rest, strict=True))) for run, name, *rest in rows
    ]
    return found[::-1]


def marks(found: Sequence[Point]) -> list[Mark]:
    """Where the target or the experiment changed, as against the run of the same experiment before it."""
    last: dict[str, Point] = {}
    marked = []
    for point in found:
        before = last.get(point.experiment)
        if before and (changed := _changed(before, point)):
            marked.append(Mark(point.run, point.at, changed))
        last[point.experiment] = point
    return marked


def _changed(before: Point, now: Point) -> str:
    parts = []
    if now.target_version and now.target_version != before.target_version:
        parts.append(now.target_version)
    elif now.target_print != before.target_print:
        parts.append("the service as registered changed")
    if now.version != before.version:
        parts.append(f"experiment v{now.version}")
    return ", ".join(parts)


def moving(values: Sequence[float | None], span: int = SPAN) -> list[float | None]:
    """For each the mean of the last `span` known values up to it; None before the first."""
    known: list[float] = []
    found: list[float | None] = []
    for value in values:
        if value is not None:
            known = [*known, value][-span:]
        found.append(round(mean(known), 6) if known else None)
    return found


@dataclass(frozen=True)
class Summary:
    """MTTD and MTTR are means over the runs in which something broke and the time is known."""

    runs: int
    held: int
    violated: int
    unknown: int
    mttd: float | None
    mttr: float | None
    recovered: int
    never: int
    availability: float | None


def summary(found: Iterable[Point]) -> Summary:
    found = list(found)
    verdicts = [point.verdict for point in found]
    broken = [point for point in found if point.broken]
    detect = [p.detect for p in broken if p.detect is not None]
    recover = [p.recover for p in broken if p.recover is not None]
    shares = [p.availability for p in found if p.availability is not None]
    return Summary(
        len(found), verdicts.count("held"), verdicts.count("violated"), verdicts.count("unknown"),
        mean(detect) if detect else None, mean(recover) if recover else None, len(recover),
        len(broken) - len(recover), mean(shares) if shares else None,
    )  # fmt: skip


def by_version(found: Sequence[Point]) -> list[dict[str, Any]]:
    """One row for each stretch of runs between two marks, newest first."""
    starts = {mark.run: mark.text for mark in marks(found)}
    groups: list[dict[str, Any]] = []
    for point in found:
        if not groups or point.run in starts:
            text = starts.get(point.run) or point.target_version or f"experiment v{point.version}"
            groups.append({"text": text, "first": point, "points": []})
        groups[-1]["points"].append(point)
    return [{**group, "summary": summary(group["points"])} for group in groups[::-1]]


def drawn(found: Sequence[Point]) -> dict[str, Any]:
    """Columns for the charts."""
    names = ("run", "verdict", "detect", "recover", "uncertainty", "availability")
    columns = {name: [getattr(point, name) for point in found] for name in names}
    return {
        **columns,
        "at": [point.at.isoformat() for point in found],
        "mttd": moving(columns["detect"]),
        "mttr": moving(columns["recover"]),
        "marks": [{**asdict(mark), "at": mark.at.isoformat()} for mark in marks(found)],
        "span": SPAN,
    }
