"""Many runs as one table: CSV, streamed, a row a run."""

import csv
from collections.abc import Iterator
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, StreamingHttpResponse
from django.views.decorators.http import require_GET

from apps.runs import review
from apps.runs.models import Run

FIGURES = ("detect", "recover", "recover_healed", "uncertainty", "availability", "readings")
COLUMNS = (
    "run", "experiment", "version", "service", "target_version", "state", "verdict", "ending", "headline",
    "requested_by", "trigger", "created_at", "started_at", "finished_at", "time_to_detect",
    "time_to_recover_from_injected", "time_to_recover_from_healed", "uncertainty", "availability", "readings",
    "tags",
)  # fmt: skip
BATCH = 500


class Echo:
    """A file that gives each line back to whoever writes it."""

    def write(self, line: str) -> str:
        return line


@require_GET
def export(request: HttpRequest) -> StreamingHttpResponse:
    runs = chosen(request)
    response = StreamingHttpResponse(lines(runs), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="runs.csv"'
    return response


def chosen(request: HttpRequest) -> QuerySet[Run]:
    """`runs=1,2`, or a filter as the list of runs has it."""
    if wanted := request.GET.get("runs"):
        pks = [int(pk) for pk in wanted.split(",")[:1000] if pk.isdecimal() and len(pk) < 18]
        return review.ROWS.filter(pk__in=pks).order_by("-pk")
    return review.Filter.of(request.GET).rows()


def lines(runs: QuerySet[Run]) -> Iterator[str]:
    writer: Any = csv.writer(Echo())
    yield writer.writerow(COLUMNS)
    before: int | None = None
    while page := review.page(
        runs.select_related("version__experiment", "target", "figures"), before, size=BATCH
    ):
        for run in review.with_tags(page.runs):
            yield writer.writerow([_safe(value) for value in row(run)])
        if page.older is None:
            return
        before = page.older


def row(run: Run) -> list[Any]:
    figures = getattr(run, "figures", None)
    times = [
        moment.isoformat() if moment else "" for moment in (run.created_at, run.started_at, run.finished_at)
    ]
    return [
        run.pk, run.name, run.version.number, run.target.name, run.target_version, run.state, run.verdict,
        run.ending, run.headline, run.requested_by, run.trigger, *times,
        *(getattr(figures, name, None) for name in FIGURES), " ".join(run.tags),  # type: ignore[attr-defined]  # set by the review
    ]  # fmt: skip


def _safe(value: Any) -> Any:
    """A text that a spreadsheet would take for a formula is only a text."""
    return f"'{value}" if isinstance(value, str) and value[:1] in "=+-@\t\r" and value else value
