from dataclasses import fields
from typing import Annotated, Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Query, Router, Schema, Status
from pydantic import create_model

from apps.reports import pages
from apps.runs import review, services
from apps.runs.models import Run
from chaosboard.api.answers import body, takes
from engine.errors import BadInput, Problem, Refused

router = Router()
halt_router = Router()
REASON = takes({"reason": {"type": "string"}}, ["reason"])
Limit = Annotated[int, Query(ge=1, le=1000)]


# What a run must be to be listed: the parts of the page's own filter
Asked = create_model(
    "Asked",
    __base__=Schema,
    **{part.name: (str, "") for part in fields(review.Filter) if part.name != "archived"},
    archived=(bool, False),
)


def _all() -> QuerySet[Run]:
    return Run.objects.select_related("version__experiment", "target").defer("result", "target_document")


@router.get("", summary="Runs, newest first, as the page of the runs filters them")
def index(request: HttpRequest, asked: Query[Asked], before: int | None = None, limit: Limit = 50) -> Any:
    wanted = {name: "yes" if value is True else value or "" for name, value in asked.model_dump().items()}
    page = review.page(review.Filter(**wanted).rows(), before, size=limit)
    return {"runs": [summary(run) for run in review.with_tags(page.runs)]}


@router.get("/{int:pk}", summary="One run")
def get(request: HttpRequest, pk: int) -> Any:
    (run,) = review.with_tags([get_object_or_404(_all(), pk=pk)])
    return summary(run)


@router.get("/{int:pk}/events", summary="What happened, from event `after` on")
def events(request: HttpRequest, pk: int, after: Annotated[int, Query(ge=0)] = 0, limit: Limit = 1000) -> Any:
    run = get_object_or_404(_all(), pk=pk)
    found = run.events.filter(n__gt=after).order_by("n")[:limit]
    return {"run": pk, "state": run.state, "events": [event.to_dict() for event in found]}


@router.get("/{int:pk}/result", summary="The recovery report as data")
def result(request: HttpRequest, pk: int) -> Any:
    run = get_object_or_404(Run.objects.select_related("version__experiment", "target"), pk=pk)
    if not run.done:
        raise Refused(f"Run {pk} is not over: it is {run.get_state_display()}.", "Ask again later.")
    return pages.report(run)


@router.post("/{int:pk}/abort", response={202: dict[str, Any]}, summary="Stop a run and heal")
def abort(request: HttpRequest, pk: int) -> Any:
    run = get_object_or_404(_all(), pk=pk)
    if not services.abort(run, request.user):
        raise Refused(f"Run {pk} is over already.")
    return Status(202, summary(_all().get(pk=pk)))


def summary(run: Run) -> dict[str, Any]:
    return {
        "id": run.pk,
        "name": run.name,
        "experiment": run.version.experiment_id,
        "version": run.version.number,
        "service": run.target.name,
        "state": run.state,
        "phase": run.phase,
        "verdict": run.verdict or None,
        "ending": run.ending or None,
        "headline": run.headline,
        "trigger": run.trigger,
        "requested_by": run.requested_by,
        "created_at": run.created_at,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "archived": run.archived,
        "tags": sorted(getattr(run, "tags", [])),
    }


@halt_router.get("/halt", summary="Whether everything is halted, and what is hurt now")
def halt_state(request: HttpRequest) -> Any:
    return {"halted": services.halted(), "hurt_now": services.hurt_now()}


@halt_router.post("/halt", summary="Stop every run, heal everything, start nothing", openapi_extra=REASON)
def halt(request: HttpRequest) -> Any:
    reason = body(request).get("reason", "")
    if not isinstance(reason, str):
        raise BadInput([Problem("reason", "must be a text")])
    healed = services.halt(reason, request.user)
    told = [{"line": h.record.line, "state": h.state, "text": h.text} for h in healed]
    return {"halted": services.halted(), "healed": told}


@halt_router.post("/resume", summary="Lift the halt")
def resume(request: HttpRequest) -> Any:
    return {"halted": None, "was_halted": services.resume(request.user)}
